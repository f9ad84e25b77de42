/** The version of this program; it stands in every manifest and proof. `make check` compares it with package.json. */
export const version = '0.1.0';
