/** Completions for bash, zsh and fish, made from the commands' own declarations. */
import type { Option } from 'commander';
import { checkNames } from '#kpatch/prove/plans.ts';
import type { CommandShape } from './program.ts';

/** Which things complete the argument of a command. */
const argumentKinds: Readonly<Record<string, keyof typeof lists>> = {
  unload: 'loaded',
  uninstall: 'installed',
  load: 'patches',
  info: 'patches',
  'kernel show': 'kernels',
  'kernel remove': 'kernels',
};

/** `kpatch list` prints `NAME [state]` and `NAME (release)`, `kpatch kernel list` a release first. */
const lists = {
  loaded: "kpatch list 2>/dev/null | sed -n 's/^\\([^ ]*\\) \\[.*/\\1/p'",
  installed: "kpatch list 2>/dev/null | sed -n 's/^\\([^ ]*\\) (.*/\\1/p'",
  patches: "kpatch list 2>/dev/null | sed -n 's/^\\([^ ]*\\) [[(].*/\\1/p' | sort -u",
  /** Kernels that are installed here, and those that are prepared for building. */
  releases: "{ ls /lib/modules; kpatch kernel list | sed -n 's/^\\([0-9][^ ]*\\) .*/\\1/p'; } 2>/dev/null | sort -u",
  kernels: "kpatch kernel list 2>/dev/null | sed -n 's/^\\([0-9][^ ]*\\) .*/\\1/p'",
} as const;

/** Which things complete the value of an option that has no fixed choices. */
const valueKinds: Readonly<Record<string, keyof typeof lists>> = {
  '--kernel': 'releases',
  '--kernel-version': 'releases',
  '--empty': 'releases',
};

/** The words that complete the value of an option, for a shell: fixed ones, or a command that prints them; else files. */
function valuesOf(command: string, { long, argChoices }: Option): string | undefined {
  if (argChoices !== undefined) return argChoices.join(' ');
  if (command === 'prove' && long === '--check') return checkNames().join(' ');
  if (command === 'diff') return undefined; // its --kernel is a version, not a release
  const kind = valueKinds[long ?? ''];
  return kind === undefined ? undefined : `$(${lists[kind]})`;
}

/** Options of a command whose values can be completed, with the words. */
function completed(shape: CommandShape): { option: Option; values: string }[] {
  return shape.options.flatMap((option) => {
    const values = valuesOf(shape.name, option);
    return values === undefined ? [] : [{ option, values }];
  });
}

export function bashCompletion(shapes: readonly CommandShape[]): string {
  const nested = shapes.filter(({ subcommands }) => subcommands.length > 0);
  const cases = leaves(shapes).map((shape) => {
    const kind = argumentKinds[shape.name];
    const names = kind === undefined ? '' : ` $(${lists[kind]})`;
    const pattern = shape.name.includes(' ') ? `'${shape.name}'` : `${shape.name}' '*`;
    return `    ${pattern}) words="${longOptions(shape).join(' ')}${names.replaceAll('"', '\\"')}" ;;`;
  });
  const values = leaves(shapes).flatMap((shape) =>
    completed(shape).map(({ option, values }) => {
      const flags = [option.short, option.long]
        .filter((flag) => flag !== undefined)
        .map((flag) => `'${shape.name} ${flag}'`);
      return `    ${flags.join('|')}) COMPREPLY=($(compgen -W "${values.replaceAll('"', '\\"')}" -- "$current")); return ;;`;
    }),
  );
  const groups = nested.map(({ name }) => name).join('|');
  const choices = nested.map(({ name, subcommands }) => {
    return `    2:${name}) choice="${subcommands.map((sub) => lastWord(sub.name)).join(' ')}" ;;`;
  });
  const all = shapes.map(({ name }) => name).join(' ');
  return `# Completion of kpatch for bash.
_kpatch() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} choice= words=
  [[ ! $command =~ ^(${groups})$ ]] || command+=" \${COMP_WORDS[2]}"
  case "$command $before" in
${values.join('\n')}
  esac
  case $COMP_CWORD:\${COMP_WORDS[1]} in
    1:*) words="${all} help" ;;
    2:help) choice="${all}" ;;
${choices.join('\n')}
  esac
  words+=$choice
  [[ -n $words ]] || case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ $COMP_CWORD == 1 || -n $choice || $current == -* ]] || COMPREPLY+=($(compgen -f -- "$current"))
}
complete -o filenames -F _kpatch kpatch
`;
}

export function zshCompletion(shapes: readonly CommandShape[]): string {
  const list = shapes.map(({ name, description }) => `    '${name}:${zshText(description)}'`);
  const nested = shapes.filter(({ subcommands }) => subcommands.length > 0);
  const choices = nested.map(({ name, subcommands }) => {
    return `    ${name}) ((CURRENT > 2)) || { compadd -- ${subcommands.map((sub) => lastWord(sub.name)).join(' ')}; return; } ;;`;
  });
  const cases = leaves(shapes).map((shape) => {
    const kind = argumentKinds[shape.name];
    const options = shape.options.flatMap((option) => {
      const values = valuesOf(shape.name, option);
      const action = values === undefined ? '_files' : `{compadd -- ${zshValues(values)}}`;
      const value = option.required || option.optional ? `:value:${action}` : '';
      return option.long ? [`'${option.long}[${zshText(option.description)}]${value}'`] : [];
    });
    const names = kind === undefined ? '' : `compadd -- $(${lists[kind]}); `;
    return `    '${shape.name}') ${names}_arguments ${[...options, "'*:file:_files'"].join(' ')} ;;`;
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
${choices.join('\n')}
    help) _describe command commands; return ;;
  esac
  case $command in
    ${nested.map(({ name }) => name).join('|')})
      command="$command $words[2]"
      shift words
      ((CURRENT--)) ;;
  esac
  case $command in
${cases.join('\n')}
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
    lines.push(`complete -c kpatch -n '${first}' -f -a ${shape.name} -d '${fishText(shape.description)}'`);
    const subs = shape.subcommands.map(({ name }) => lastWord(name)).join(' ');
    const open = `__fish_seen_subcommand_from ${shape.name}; and not __fish_seen_subcommand_from ${subs}`;
    for (const sub of shape.subcommands) {
      lines.push(`complete -c kpatch -n '${open}' -f -a ${lastWord(sub.name)} -d '${fishText(sub.description)}'`);
    }
  }
  for (const shape of leaves(shapes)) {
    const seen = shape.name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
    for (const option of shape.options) {
      const short = option.short === undefined ? '' : ` -s ${option.short.slice(1)}`;
      const values = valuesOf(shape.name, option);
      const words = values === undefined ? '' : ` -f -a "${fishValues(values)}"`;
      const value = option.required || option.optional ? ` -r${words}` : '';
      if (option.long === undefined) continue;
      lines.push(
        `complete -c kpatch -n '${seen}'${short} -l ${option.long.slice(2)}${value} -d '${fishText(option.description)}'`,
      );
    }
    const kind = argumentKinds[shape.name];
    if (kind !== undefined)
      lines.push(`complete -c kpatch -n '${seen}' -a "(${lists[kind].replace(/[\\"$]/g, '\\$&')})"`);
  }
  return `${lines.join('\n')}\n`;
}

/** The commands that do something: those without commands of their own, and the commands of the others. */
function leaves(shapes: readonly CommandShape[]): CommandShape[] {
  return shapes.flatMap((shape) => (shape.subcommands.length > 0 ? shape.subcommands : [shape]));
}

function longOptions(shape: CommandShape): string[] {
  return shape.options.flatMap(({ long }) => long ?? []);
}

function lastWord(name: string): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}

/** Inside the single quotes of an argument specification. */
function zshValues(values: string): string {
  return values.replaceAll("'", "'\\''");
}

/** Command substitution in fish has no dollar. */
function fishValues(values: string): string {
  const command = /^\$\((.*)\)$/.exec(values)?.[1];
  if (command === undefined) return values;
  return `(${command.replace(/^\{ (.*); \}/, 'begin; $1; end').replace(/[\\"$]/g, '\\$&')})`;
}

function zshText(text: string): string {
  return text.replaceAll("'", "'\\''").replace(/[[\]:]/g, '\\$&');
}

function fishText(text: string): string {
  return text.replace(/[\\']/g, '\\$&');
}
