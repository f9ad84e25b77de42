/** Definitions of documents for the other programs of this project; like `parts.ts`, they may change with any version. */
export { triagedCve } from './documents/definitions/cve.ts';
export { type Content, type DocumentDefinition, described, kept, problemIn } from './documents/document.ts';
export { keptDocument } from './documents/kept.ts';
export { natural, sha256, time } from './documents/parts.ts';
