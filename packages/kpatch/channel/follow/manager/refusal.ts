/** Turns what apt and dnf say of a repository into one of four errors; in all of them the machine keeps what it had. */
import { failure, type KpatchError } from '../../../base/errors/error.ts';

const kinds = [
  { code: 'channel-frozen', pattern: /Release file for .* is (?:expired|not valid yet)|past its validity/i },
  {
    code: 'channel-untrusted',
    pattern:
      /is not signed|not signed by|NO_PUBKEY|EXPKEYSIG|REVKEYSIG|BADSIG|signatures couldn't be verified|signatures were invalid|GPG (?:check|verification|signature)|Bad GPG|public key|Clearsigned file isn't valid|Could not execute 'gpgv'|No keyring installed|keyring .* (?:unreadable|ignored)|key.* not installed|signature verification/i,
  },
  {
    code: 'channel-inconsistent',
    pattern:
      /Hash Sum mismatch|unexpected size|checksum (?:doesn't|does not) match|Cannot open file|No space left|Unable to parse package file|Interrupted by header error|size mismatch|Size mismatch|Could not parse Release|No Hash entry/i,
  },
] as const;

/** The error for a failed run; `output` is all that the program said. */
export function refusal(url: string, output: string): KpatchError {
  const lines = output.split('\n').map((line) => line.trim());
  const telling = lines.filter((line) =>
    /^(?:E:|W:|Err:|Error|error)|mismatch|expired|signature|GPG|\[MIRROR\]|Curl/i.test(line),
  );
  const kind = kinds.find(({ pattern }) => pattern.test(output));
  const problem = (
    telling.find((line) => kind?.pattern.test(line)) ??
    telling[0] ??
    lines.find((line) => line !== '') ??
    'it gave no reason'
  )
    .replace(/^[EW]: /, '')
    .slice(0, 400);
  return failure(kind?.code ?? 'channel-unreachable', { url, problem }, { detail: telling.slice(0, 20).join('\n') });
}
