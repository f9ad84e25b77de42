/**
 * The values of the design: colours for light and dark, a scale of type sizes, a scale of spaces. Pages use them by name
 * (`var(--good)`), never as numbers, so that a value is changed in one place. Text on its ground has a contrast of at least
 * 4.5 to 1 in both modes (WCAG 2.2, 1.4.3); the tests of the pages measure it.
 */

const light = {
  bg: '#fdfdfc',
  fg: '#1c1e21',
  soft: '#55595f',
  line: '#d9dbde',
  panel: '#f3f4f4',
  link: '#0b57a4',
  good: '#136c3a',
  'good-bg': '#e3f4e9',
  bad: '#a3161b',
  'bad-bg': '#fdeaea',
  warn: '#7a4d00',
  'warn-bg': '#fdf1d7',
  idle: '#595f69',
  add: '#dff3e4',
  del: '#fbe3e4',
  'bar-good': '#2da44e',
  'bar-warn': '#d4a72c',
  'bar-idle': '#8c959f',
} as const;

type Colour = keyof typeof light;

const dark: Readonly<Record<Colour, string>> = {
  bg: '#16181b',
  fg: '#e7e8ea',
  soft: '#a9aeb6',
  line: '#3a3e44',
  panel: '#1f2226',
  link: '#8cc2ff',
  good: '#7fd6a0',
  'good-bg': '#163524',
  bad: '#ff9c9c',
  'bad-bg': '#421c1e',
  warn: '#f0c674',
  'warn-bg': '#3b2f14',
  idle: '#a9aeb6',
  add: '#173a25',
  del: '#472125',
  'bar-good': '#2ea043',
  'bar-warn': '#bb8009',
  'bar-idle': '#6e7681',
};

/** From notes to the title, each about 1.2 times the one before. */
const sizes = ['.8rem', '.875rem', '1rem', '1.15rem', '1.375rem', '1.65rem'] as const;
const spaces = ['.25rem', '.5rem', '.75rem', '1rem', '1.5rem', '2.5rem'] as const;

const properties = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([name, value]) => `--${name}:${value};`)
    .join('');

const scale = (name: string, values: readonly string[]): string =>
  values.map((value, i) => `--${name}-${i + 1}:${value};`).join('');

/** Custom properties for both modes. */
export const tokens = `
:root{color-scheme:light dark;${properties(light)}${scale('size', sizes)}${scale('space', spaces)}--radius:.375rem;--sans:system-ui,sans-serif;--mono:ui-monospace,monospace}
@media (prefers-color-scheme:dark){:root{${properties(dark)}}}
@media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--panel:#f6f6f6}}
`;
