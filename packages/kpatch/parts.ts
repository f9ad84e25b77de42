/**
 * Parts of kpatch that the other programs of this project share: errors, files, locks, running programs, HTML. They are not
 * meant for others and may change with any version.
 */
export { sha256 } from './base/digest.ts';
export { failure, KpatchError } from './base/errors/error.ts';
export { plural } from './base/errors/plural.ts';
export { renderError } from './base/errors/render.ts';
export { readBytes, type TemporaryFolder, temporaryFolder, writeAtomically } from './base/files.ts';
export { list, number, object, type Plain, parseJSON, text, texts } from './base/plain.ts';
export { jsonText, print, printError } from './base/print.ts';
export { type Lock, lock } from './base/process/lock.ts';
export { requireOwnFolder } from './base/process/owner.ts';
export { consoleReporter, type Reporter, silentReporter } from './base/report.ts';
export { type RunOptions, run } from './base/run.ts';
export { contentPolicy, Html, type HtmlPart, html, inlineScript, inlineStyle, joined } from './base/text/html.ts';
export { version } from './base/version.ts';
export { namesBelow } from './base/walk.ts';
export { pageStyle } from './design/page.ts';
export { facts, type Tone, verdictBanner } from './design/parts.ts';
export { proofPath, provenancePath } from './module/proof-path.ts';
export { readPrivateKey } from './module/signing-key.ts';
export { seal } from './provenance/envelope.ts';
