/** An object file that several stages look at: as views on its bytes and as a graph, parsed once, whoever asks first. */
import { ElfFile } from './file.ts';
import type { ElfObject } from './object.ts';
import { objectOf } from './read-object.ts';

export class ObjectFile {
  readonly elf: ElfFile;
  #object: ElfObject | undefined;

  /** `file` is its name for messages. Errors: those of `ElfFile`. */
  constructor(bytes: Uint8Array, file: string) {
    this.elf = new ElfFile(bytes, file);
  }

  /** The graph, which its readers share: nobody may change it. Errors: those of `objectOf`. */
  get object(): ElfObject {
    this.#object ??= objectOf(this.elf);
    return this.#object;
  }
}
