import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { checkSuccessor, readPredecessor, successorVersion } from '#kpatch/builder/successor.ts';
import type { Manifest } from '#kpatch/module/manifest.ts';
import { buildId, compile, type Made, madeModule, manifest, release, source } from '../module/made-module.ts';
import { provokes } from '../provoke.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-successor-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const kernel = { release, buildId };
function file(bytes: Uint8Array): string {
  const path = join(folder, 'previous.ko');
  writeFileSync(path, bytes);
  return path;
}
const predecessor = (made: Made = {}): ReturnType<typeof readPredecessor> =>
  readPredecessor(file(madeModule(made)), kernel);
const withoutManifest = (object: { sections: { name: string }[] }): void => {
  object.sections = object.sections.filter(({ name }) => name !== '.kpatch.manifest');
};
/** A successor of the made module with other functions or states. */
const successor = (changed: Partial<Manifest>): Pick<Manifest, 'functions' | 'states'> => ({ ...manifest, ...changed });

describe('--after: the predecessor', () => {
  test('its manifest says what has to be covered', () => {
    const { name, version, functions, states } = predecessor();
    assert.equal(name, 'livepatch_made');
    assert.equal(version, 3);
    assert.deepEqual(functions, manifest.functions);
    assert.deepEqual(states, [{ id: 4, version: 2 }]);
  });

  test('a module without a manifest says it by its tables', () => {
    const { version, functions } = predecessor({ change: withoutManifest });
    assert.equal(version, undefined);
    assert.deepEqual(
      functions.map(({ name, object, sympos }) => [name, object, sympos]),
      [
        ['old_one', 'vmlinux', 0],
        ['old_two', 'tun', 2],
      ],
    );
  });

  test('previous-unknown: no livepatch module, or one that does not say what it replaces', async () => {
    await provokes('previous-unknown', () => readPredecessor(file(compile('int a;')), kernel));
    const modinfo = source.modinfo.filter((one) => one !== 'livepatch=Y');
    await provokes('previous-unknown', () => predecessor({ c: { modinfo } }));
    const error = await provokes('previous-unknown', () =>
      predecessor({
        change: (object) => {
          withoutManifest(object);
          for (const symbol of object.symbols) if (symbol.name === 'livepatch_objects') symbol.name = 'other';
        },
      }),
    );
    assert.match(error.message, /neither a manifest nor a table/);
    await provokes('elf-not-elf', () => readPredecessor(file(Buffer.from('text')), kernel));
    await provokes('file-unreadable', () => readPredecessor(join(folder, 'none.ko'), kernel));
  });

  test('previous-other-kernel: another release, or another build of it', async () => {
    await provokes('previous-other-kernel', () => predecessor({ manifest: { release: '6.1.0-8-amd64' } }));
    const error = await provokes('previous-other-kernel', () => predecessor({ manifest: { buildId: 'f'.repeat(40) } }));
    assert.match(error.message, /another build of 6\.1\.0-9-amd64/);
  });
});

describe('--after: the successor', () => {
  test('its version rises by one by default', async () => {
    const previous = predecessor();
    assert.equal(successorVersion(previous, undefined), 4);
    assert.equal(successorVersion(previous, 9), 9);
    assert.equal(successorVersion(undefined, undefined), 1);
    assert.equal(successorVersion(undefined, 5), 5);
    await provokes('previous-version', () => successorVersion(previous, 3));
  });

  test('one that covers all is taken, with more functions too', () => {
    const more = { name: 'another', object: 'vmlinux', sympos: 0, patches: [] };
    checkSuccessor(predecessor(), successor({ functions: [...manifest.functions, more] }), []);
  });

  test('previous-uncovered: names what would be lost; the same name at another place is another function', async () => {
    const error = await provokes('previous-uncovered', () =>
      checkSuccessor(predecessor(), successor({ functions: [] }), []),
    );
    assert.equal(error.exit, 4);
    assert.equal(error.detail, 'old_one (vmlinux)\nold_two,2 (tun)');
    const moved = manifest.functions.map((one) => ({ ...one, sympos: one.name === 'old_two' ? 1 : one.sympos }));
    await provokes('previous-uncovered', () => checkSuccessor(predecessor(), successor({ functions: moved }), []));
  });

  test('what is withdrawn may be missing; withdraw-unknown for a name that fits nothing', async () => {
    checkSuccessor(predecessor(), successor({ functions: [] }), ['old_one', 'old_two']);
    const one = [manifest.functions[0]!];
    await provokes('previous-uncovered', () =>
      checkSuccessor(predecessor(), successor({ functions: [] }), ['old_one']),
    );
    const typo = await provokes('withdraw-unknown', () =>
      checkSuccessor(predecessor(), successor({ functions: one }), ['old_tow']),
    );
    assert.match(typo.message, /the previous patch does not replace it/);
    const kept = await provokes('withdraw-unknown', () =>
      checkSuccessor(predecessor(), successor({ functions: one }), ['old_two', 'old_one']),
    );
    assert.match(kept.message, /the new patch replaces it too/);
  });

  test('previous-states: a state that is forgotten or older', async () => {
    await provokes('previous-states', () => checkSuccessor(predecessor(), successor({ states: [] }), []));
    await provokes('previous-states', () =>
      checkSuccessor(predecessor(), successor({ states: [{ id: 4, version: 1 }] }), []),
    );
    checkSuccessor(predecessor(), successor({ states: [{ id: 4, version: 3 }] }), []);
  });
});
