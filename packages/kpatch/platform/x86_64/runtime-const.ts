/**
 * Runtime constants (arch/x86/include/asm/runtime-const.h, Linux 6.11, commit e3c92e81711d): code loads a placeholder, and
 * the booting kernel writes the variable's value over it, in its own code only. Code of a module would keep the
 * placeholder, so it loads the variable itself, as asm-generic/runtime-const.h does. Both instructions are made ten bytes
 * long.
 */
import { SHF, SHT } from '../../formats/elf/constants.ts';
import { copyObject, type ElfObject, newSymbol, type Section } from '../../formats/elf/object.ts';

/** Sections of places, one for each variable: `runtime_ptr_USER_PTR_MAX`. Each entry is the distance to the constant. */
const section = /^runtime_ptr_(\w+)$/;

const PC32 = 2;
/** `mov $imm64,%reg` has two bytes before the constant; with the constant it has ten. */
const OPCODE = 2;
const LENGTH = 10;

/**
 * The object with all loads of the known form rewritten, and without their sections; a section with any other stays as it is.
 * The object itself does not change: it is returned if it has no such sections, otherwise a copy.
 */
export function loadRuntimeConstants(object: ElfObject): ElfObject {
  if (!object.sections.some(({ name }) => section.test(name))) return object;
  const copy = copyObject(object);
  rewrite(copy);
  return copy;
}

function rewrite(object: ElfObject): void {
  for (const places of [...object.sections]) {
    const name = section.exec(places.name)?.[1];
    if (name === undefined || places.type !== SHT.PROGBITS || (places.flags & SHF.ALLOC) === 0) continue;
    const loads = places.relocations.map(({ type, symbol, addend, offset }) => {
      const home = symbol?.section;
      if (type !== PC32 || symbol === undefined || typeof home !== 'object' || offset % 4 !== 0) return undefined;
      return loadAt(home, symbol.value + addend - OPCODE);
    });
    if (loads.length !== places.data.length / 4 || loads.includes(undefined)) continue;
    const variable = object.symbols.find((symbol) => symbol.name === name) ?? newSymbol({ name });
    if (!object.symbols.includes(variable)) object.symbols.push(variable);
    for (const load of loads) {
      const { home, at, register } = load!;
      const data = home.data.slice();
      // mov variable(%rip),%reg, then a nop of three bytes
      const code = [0x48 | ((register & 8) >> 1), 0x8b, ((register & 7) << 3) | 5, 0, 0, 0, 0, 0x0f, 0x1f, 0x00];
      data.set(code, at);
      home.data = data;
      home.relocations = [...home.relocations, { offset: at + 3, type: PC32, symbol: variable, addend: -4 }];
      home.relocations.sort((a, b) => a.offset - b.offset);
    }
    object.sections = object.sections.filter((other) => other !== places);
    object.symbols = object.symbols.filter((symbol) => symbol.section !== places);
  }
}

/** The load of a 64-bit constant at a place, with its register; undefined if there is another instruction. */
function loadAt(home: Section, at: number): { home: Section; at: number; register: number } | undefined {
  const { data } = home;
  const [rex, opcode] = [data[at] ?? 0, data[at + 1] ?? 0];
  if ((rex & 0xfe) !== 0x48 || (opcode & 0xf8) !== 0xb8 || at + LENGTH > data.length) return undefined;
  return { home, at, register: (opcode & 7) | ((rex & 1) << 3) };
}
