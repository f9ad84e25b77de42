/** What the tests use of the CSAF validator, which has no types of its own. */
declare module '@secvisogram/csaf-validator-lib/mandatoryTests.js';
declare module '@secvisogram/csaf-validator-lib/schemaTests.js' {
  export const csaf_2_0: unknown;
}
declare module '@secvisogram/csaf-validator-lib/validate.js' {
  export default function validate(
    tests: readonly unknown[],
    document: object,
  ): Promise<{ isValid: boolean; tests: { isValid: boolean }[] }>;
}
