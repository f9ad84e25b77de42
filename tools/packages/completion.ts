/** Completions for bash, zsh and fish, made from the commands' own declarations. */
import type { CommandShape } from './program.ts';

/** Which installed or loaded things complete the argument of a command. */
const argumentKinds: Readonly<Record<string, 'loaded' | 'installed' | 'patches'>> = {
  unload: 'loaded',
  uninstall: 'installed',
  load: 'patches',
  info: 'patches',
};

/** `kpatch list` prints `NAME [state]` and `NAME (release)`. */
const lists = {
  loaded: "kpatch list 2>/dev/null | sed -n 's/^\\([^ ]*\\) \\[.*/\\1/p'",
  installed: "kpatch list 2>/dev/null | sed -n 's/^\\([^ ]*\\) (.*/\\1/p'",
  patches: "kpatch list 2>/dev/null | sed -n 's/^\\([^ ]*\\) [[(].*/\\1/p' | sort -u",
} as const;

export function bashCompletion(shapes: readonly CommandShape[]): string {
  const cases = shapes.flatMap((shape) => {
    const kind = argumentKinds[shape.name];
    const words = [...longOptions(shape), ...shape.subcommands.map(({ name }) => lastWord(name))].join(' ');
    const names = kind === undefined ? '' : ` $(${lists[kind]})`;
    return [`    ${shape.name}) words="${words}${names.replaceAll('"', '\\"')}" ;;`];
  });
  return `# Completion of kpatch for bash.
_kpatch() {
  local current=\${COMP_WORDS[COMP_CWORD]} words
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "${shapes.map(({ name }) => name).join(' ')} help" -- "$current"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
    help) words="${shapes.map(({ name }) => name).join(' ')}" ;;
    *) words= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ $current == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _kpatch kpatch
`;
}

export function zshCompletion(shapes: readonly CommandShape[]): string {
  const list = shapes.map(({ name, description }) => `    '${name}:${zshText(description)}'`);
  const cases = shapes.map((shape) => {
    const kind = argumentKinds[shape.name];
    const options = shape.options.flatMap((option) => {
      const value = option.required || option.optional ? ':value:_files' : '';
      return option.long ? [`'${option.long}[${zshText(option.description)}]${value}'`] : [];
    });
    const subs = shape.subcommands.map(({ name }) => lastWord(name));
    const rest = subs.length > 0 ? `'1:command:(${subs.join(' ')})' '*:file:_files'` : "'*:file:_files'";
    const names = kind === undefined ? '' : `compadd -- $(${lists[kind]}); `;
    return `    ${shape.name}) ${names}_arguments ${[...options, rest].join(' ')} ;;`;
  });
  return `#compdef kpatch
# Completion of kpatch for zsh.
_kpatch() {
  local -a commands
  commands=(
${list.join('\n')}
    'help:help for a command'
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${cases.join('\n')}
    help) _describe command commands ;;
  esac
}
_kpatch "$@"
`;
}

export function fishCompletion(shapes: readonly CommandShape[]): string {
  const names = shapes.map(({ name }) => name).join(' ');
  const lines = ['# Completion of kpatch for fish.'];
  const first = `not __fish_seen_subcommand_from ${names} help`;
  for (const shape of shapes) {
    const seen = `__fish_seen_subcommand_from ${shape.name}`;
    lines.push(`complete -c kpatch -n '${first}' -f -a ${shape.name} -d '${fishText(shape.description)}'`);
    for (const option of shape.options) {
      const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
      const value = option.required || option.optional ? ' -r' : '';
      if (option.long === undefined) continue;
      lines.push(
        `complete -c kpatch -n '${seen}'${short} -l ${option.long.slice(2)}${value} -d '${fishText(option.description)}'`,
      );
    }
    for (const sub of shape.subcommands) {
      lines.push(`complete -c kpatch -n '${seen}' -a ${lastWord(sub.name)} -d '${fishText(sub.description)}'`);
    }
    const kind = argumentKinds[shape.name];
    if (kind !== undefined)
      lines.push(`complete -c kpatch -n '${seen}' -a "(${lists[kind].replace(/[\\"$]/g, '\\$&')})"`);
  }
  return `${lines.join('\n')}\n`;
}

function longOptions(shape: CommandShape): string[] {
  return shape.options.flatMap(({ long }) => long ?? []);
}

function lastWord(name: string): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}

function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replace(/[[\]:]/g, '\\$&');
}

function fishText(text: string): string {
  return text.replace(/[\\']/g, '\\$&');
}
