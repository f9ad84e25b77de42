/** The package manager of a machine, as far as following a channel needs it. */

/** What the machine's copy of the channel's metadata says of itself. */
export interface Metadata {
  /** Seconds since 1970 of its publication. */
  readonly published: number;
  /** Seconds since 1970 until which it is valid; 0 where it does not say. */
  readonly validUntil: number;
}

export interface Manager {
  readonly name: 'apt' | 'dnf';
  /** Name of the package that carries a kernel's live patches. */
  packageFor(kernel: string): string;
  /** Writes the source of the channel and the key that it is checked with. */
  configure(url: string, armored: string, binary: Uint8Array): Promise<void>;
  /** Paths, below the root, of what `configure` writes or removes: a failed `follow` puts them back. */
  files(): readonly string[];
  /** Fetches the channel's metadata and checks its signature. Errors: `channel-frozen`, `channel-untrusted`, `channel-inconsistent`, `channel-unreachable`. */
  refresh(): Promise<void>;
  metadata(): Metadata | undefined;
  /** Throws away the metadata that was fetched, because it is not to be used. */
  discard(): Promise<void>;
  /** The versions of packages that are installed, by name; all whose name matches. */
  installed(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** The newest versions that the channel offers, by name. */
  available(names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /** Installs or upgrades packages. Errors as `refresh`, and `channel-install`. */
  install(names: readonly string[]): Promise<void>;
}
