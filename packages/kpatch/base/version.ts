/** The version of this program; it is in every manifest and proof. `make check` compares it with package.json. */
export const version = '0.1.0';
