/** Links without make: learned from one link by kbuild, used as long as kbuild is the same, and never against it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { sha256 } from '#kpatch/base/digest.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { linkModule } from '#kpatch/module/make/link.ts';
import { type Recipe, readRecipe } from '#kpatch/module/make/recipe.ts';

const name = 'sample_patch';

/** A kbuild in small: it notes each command beside what the command makes, as the real one does. */
const makefile = (mark = '') => `
run = $(1) && printf '%s\\n' 'savedcmd_$(M)/$(2) := $(subst $$,$$$$,$(1))' > $(M)/.$(2).cmd
modules: $(M)/part-0.o
	printf '%s\\n' $(M)/glue.o $(M)/part-0.o > $(M)/${name}.mod
	$(call run,cp $(M)/glue.c $(M)/glue.o,glue.o)
	$(call run,xargs cat < $(M)/${name}.mod > $(M)/${name}.o,${name}.o)
	$(call run,echo $(M)/${name}.ko > $(M)/modules.order,modules.order)
	$(call run,echo ${mark}versions > $(M)/${name}.mod.c,Module.symvers)
	$(call run,cp $(M)/${name}.mod.c $(M)/${name}.mod.o,${name}.mod.o)
	$(call run,cat $(M)/${name}.o $(M)/${name}.mod.o > $(M)/${name}.ko,${name}.ko)
$(M)/%.o: $(M)/%.bin
	cp $< $@
`;

interface Place extends Disposable {
  readonly recipe: string;
  readonly setMakefile: (text: string) => void;
  /** Links these parts and returns the module as text. */
  readonly link: (...parts: string[]) => Promise<string>;
}

function place(): Place {
  const folder = temporaryFolder('kpatch-recipe-');
  const [headers, derived] = [join(folder.path, 'headers'), join(folder.path, 'derived')];
  mkdirSync(headers);
  let count = 0;
  const setMakefile = (text: string): void => writeFileSync(join(headers, 'Makefile'), text);
  setMakefile(makefile());
  return {
    recipe: join(derived, 'link.json'),
    setMakefile,
    async link(...parts) {
      const work = join(folder.path, `work${count++}`);
      mkdirSync(work);
      const bytes = await linkModule({
        folder: work,
        headers,
        folders: [headers],
        compiler: [],
        buildRoot: undefined,
        name,
        glue: 'glue\n',
        objects: parts.map((text) => Buffer.from(text)),
        settings: [],
        recipe: { derived, variables: {} },
      });
      return Buffer.from(bytes).toString();
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

/** Changes a kept recipe as somebody who knows its format would. */
function change(file: string, edit: (recipe: Recipe) => Partial<Recipe>, keepDigest = false): void {
  const kept = JSON.parse(readFileSync(file, 'utf8')) as { digest: string; recipe: Recipe };
  const recipe = { ...kept.recipe, ...edit(kept.recipe) };
  const digest = keepDigest ? kept.digest : sha256(JSON.stringify(recipe));
  writeFileSync(file, JSON.stringify({ ...kept, digest, recipe }));
}

describe('the recipe of a link', () => {
  test('is learned from kbuild, holds for another number of parts, and replaces make', async () => {
    using kernel = place();
    assert.equal(await kernel.link('one\n'), 'glue\none\nversions\n');
    assert.ok(existsSync(kernel.recipe));
    assert.equal(await kernel.link('one\n', 'two\n'), 'glue\none\ntwo\nversions\n');
    change(kernel.recipe, ({ versions }) => ({ versions: versions.replace('cp ', 'echo by recipe; cp ') }));
    assert.equal(await kernel.link('one\n'), 'glue\none\nversions\n');
    change(kernel.recipe, () => ({ versions: 'echo by recipe > @FOLDER@/@NAME@.mod.o' }));
    assert.equal(await kernel.link('one\n'), 'glue\none\nby recipe\n');
  });

  test('does not hold when a Makefile changes', async () => {
    using kernel = place();
    await kernel.link('one\n');
    kernel.setMakefile(makefile('new '));
    assert.equal(await kernel.link('one\n'), 'glue\none\nnew versions\n');
    change(kernel.recipe, () => ({ versions: 'echo by recipe > @FOLDER@/@NAME@.mod.o' }));
    assert.equal(await kernel.link('one\n'), 'glue\none\nby recipe\n', 'it was learned again');
  });

  test('that fails, or is damaged, is replaced: kbuild links', async () => {
    using kernel = place();
    await kernel.link('one\n');
    const learned = readFileSync(kernel.recipe, 'utf8');
    for (const broken of ['exit 3', 'rm @FOLDER@/@NAME@.o']) {
      change(kernel.recipe, () => ({ versions: broken }));
      assert.equal(await kernel.link('one\n'), 'glue\none\nversions\n');
      assert.equal(readFileSync(kernel.recipe, 'utf8'), learned);
    }
    change(kernel.recipe, () => ({ versions: 'echo by recipe > @FOLDER@/@NAME@.mod.o' }), true);
    assert.equal(await kernel.link('one\n'), 'glue\none\nversions\n');
    writeFileSync(kernel.recipe, '{');
    assert.equal(await kernel.link('one\n'), 'glue\none\nversions\n');
  });

  test('that makes other bytes than kbuild is not kept', async () => {
    using kernel = place();
    const text = makefile().replace(
      `> $(M)/${name}.ko,${name}.ko)`,
      `> $(M)/${name}.ko,${name}.ko)\n\techo more >> $(M)/${name}.ko`,
    );
    kernel.setMakefile(text);
    assert.equal(await kernel.link('one\n'), 'glue\none\nversions\nmore\n');
    assert.ok(!existsSync(kernel.recipe));
  });

  test('is not read from names that could be part of a word, nor from commands that name the parts', () => {
    using folder = temporaryFolder('kpatch-recipe-');
    const note = (module: string, files: Readonly<Record<string, string>>): void => {
      writeFileSync(join(folder.path, `${module}.mod`), 'glue.o\npart-0.o\n');
      const all = ['glue.o', `${module}.o`, 'modules.order', 'Module.symvers', `${module}.mod.o`, `${module}.ko`];
      for (const file of all) {
        const command = files[file] ?? `make ${folder.path}/${file}`;
        writeFileSync(join(folder.path, `.${file}.cmd`), `savedcmd_${folder.path}/${file} := ${command}\n`);
      }
    };
    note('gcc', {});
    assert.equal(readRecipe(folder.path, 'gcc'), undefined);
    note('sample', {});
    assert.equal(readRecipe(folder.path, 'sample')?.module, 'make @FOLDER@/@NAME@.ko');
    note('sample', { 'sample.o': 'ld glue.o part-0.o' });
    assert.equal(readRecipe(folder.path, 'sample'), undefined);
    note('sample', { 'glue.o': 'gcc -Dresample_more' });
    assert.equal(readRecipe(folder.path, 'sample'), undefined);
    note('sample', { 'glue.o': 'gcc $(flags)' });
    assert.equal(readRecipe(folder.path, 'sample'), undefined);
    note('sample', { 'glue.o': `gcc -DKBUILD_MODNAME='"sample"' -D__KBUILD_MODNAME=kmod_sample -c $(pound)$$x` });
    assert.equal(
      readRecipe(folder.path, 'sample')?.glue,
      `gcc -DKBUILD_MODNAME='"@NAME@"' -D__KBUILD_MODNAME=kmod_@NAME@ -c #$x`,
    );
  });
});
