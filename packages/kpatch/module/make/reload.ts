/**
 * C code that allows a patched module to be loaded again. The livepatch core applies the relocations of
 * `.klp.rela.OBJECT.*` when OBJECT is loaded, and refuses a field that is not zero. Linux 6.3 clears them when OBJECT is
 * removed (commit 0c05e7bd2d01); before that, the module could not be loaded again while the patch was active. This code
 * clears them in the callback that the core calls at that point (`post_unpatch`, kernel/livepatch/core.c,
 * klp_cleanup_module_patches_limited).
 *
 * The fields are in read-only memory, so they are written through a second mapping of their pages; no code runs there,
 * as the module that it replaces is on its way out. When the whole patch is disabled there is nothing to clear.
 */
import type { LoaderRules } from '../../platform/loader.ts';

/** The name of the function that clears. */
export const CLEAR_RELOCATIONS = 'livepatch_clear_relocations';

/** The C names of the relocation types whose fields are not of 4 bytes. */
export type FieldSizes = NonNullable<LoaderRules['fieldSizes']>;

/** Names of the headers in include/linux that the code needs. */
export const clearingHeaders = ['mm', 'moduleloader', 'string', 'vmalloc'] as const;

/** The code, for the fields that this machine's relocations have. */
export const clearRelocations = ({
  none,
  eight,
}: FieldSizes): string => `static int livepatch_clear(void *field, size_t size)
{
	struct page *pages[2] = { vmalloc_to_page(field), vmalloc_to_page(field + size - 1) };
	void *alias = NULL;

	if (pages[0] && pages[1])
		alias = vmap(pages, pages[0] == pages[1] ? 1 : 2, VM_MAP, PAGE_KERNEL);
	if (!alias)
		return -ENOMEM;
	memset(alias + offset_in_page(field), 0, size);
	vunmap(alias);
	return 0;
}

static size_t livepatch_field_size(const Elf_Rela *relocation)
{
	switch (ELF_R_TYPE(relocation->r_info)) {
${cases(none)}
		return 0;
${cases(eight)}
		return 8;
	default:
		return 4;
	}
}

/* Before Linux 6.3 the kernel leaves what it wrote for a module, and refuses the module when it is loaded again. */
static void ${CLEAR_RELOCATIONS}(struct klp_object *object)
{
	const struct klp_modinfo *info = THIS_MODULE->klp_info;
	size_t length = strlen(object->name);
	unsigned int at;

	if (!patch.enabled || !object->mod || object->mod->state == MODULE_STATE_LIVE)
		return;
	for (at = 1; at < info->hdr.e_shnum; at++) {
		const Elf_Shdr *section = &info->sechdrs[at];
		const char *name = info->secstrings + section->sh_name;
		const Elf_Rela *relocation = (void *)section->sh_addr;
		const Elf_Rela *end = (void *)section->sh_addr + section->sh_size;
		void *target = (void *)info->sechdrs[section->sh_info].sh_addr;

		if (!(section->sh_flags & SHF_RELA_LIVEPATCH) || strncmp(name, ".klp.rela.", 10) ||
		    strncmp(name + 10, object->name, length) || name[10 + length] != '.')
			continue;
		for (; relocation < end; relocation++) {
			size_t size = livepatch_field_size(relocation);

			if (size && livepatch_clear(target + relocation->r_offset, size)) {
				pr_warn("%s: no memory to clear relocations, %s cannot be loaded again\\n",
					THIS_MODULE->name, object->name);
				return;
			}
		}
	}
}`;

const cases = (types: readonly string[]): string => types.map((type) => `\tcase ${type}:`).join('\n');

/** A `post_unpatch` callback that does what the author's does, and then clears. */
export function clearingAfter(callback: string, name: string): string {
  return `static void ${name}(struct klp_object *object)\n{\n\t${callback}(object);\n\t${CLEAR_RELOCATIONS}(object);\n}`;
}
