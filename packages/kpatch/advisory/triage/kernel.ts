/** What triage knows of a kernel: versions always, sources and configuration where they exist. */
import type { Changelog } from '../formats/changelog.ts';
import type { Scheme } from '../version.ts';

/** Whether a source file is compiled for a kernel. */
export type Built =
  | { readonly state: 'built'; readonly objects: readonly string[] }
  | { readonly state: 'not built'; readonly reason: string }
  | { readonly state: 'unknown'; readonly reason: string };

/** The source and configuration of a kernel. */
export interface KernelCode {
  /** The text of a source file; undefined if the source has no such file. */
  text(path: string): string | undefined;
  built(path: string): Built;
}

/** A change of a fix: the lines before and after it, with the unchanged lines around them. */
export interface FixHunk {
  readonly path: string;
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** All hunks of a fix for one branch. */
export interface Fix {
  /** Commit ids, or whatever names the fix. */
  readonly name: string;
  readonly hunks: readonly FixHunk[];
}

export interface TriageKernel {
  readonly release: string;
  readonly scheme: Scheme;
  /** Version of its package, such as `6.1.170-3`. */
  readonly version: string;
  /** As advisories name it, such as `Debian:12`. */
  readonly distribution?: string;
  /** Code name of the distribution's release, as the security tracker names it. */
  readonly suite?: string;
  /** The source package (default: `linux`). */
  readonly source?: string;
  readonly code?: KernelCode;
  readonly changelogs: readonly Changelog[];
  /** CVEs that active live patches fix, each with the name of the patch. */
  readonly live: ReadonlyMap<string, string>;
  /** Modules of a machine: loaded now, and installed. Absent if no machine is known. */
  readonly modules?: { readonly loaded: ReadonlySet<string>; readonly installed: ReadonlySet<string> };
  /** Fixes of a CVE; any one of them is enough. */
  readonly fixes?: (cve: string) => readonly Fix[];
}
