/** Attestations: in-toto statements in DSSE envelopes, and what the commands say of them. The formats are those of in-toto and SLSA. */
import * as v from 'valibot';
import { described, printed, storedWithout } from '../document.ts';
import { natural, sha256 } from '../parts.ts';

const digests = v.record(v.string(), v.string());

/** A ResourceDescriptor (in-toto attestation framework v1). */
const resource = v.object({
  name: v.optional(v.string()),
  uri: v.optional(described(v.string(), 'For packages a package URL (purl).')),
  digest: v.optional(digests),
  content: v.optional(described(v.string(), 'Base64.')),
  annotations: v.optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()]))),
});

const subjects = v.pipe(v.array(v.object({ name: v.string(), digest: v.object({ sha256 }) })), v.minLength(1));

export const envelopeDocument = storedWithout(
  'dsse.envelope',
  '`MODULE.provenance.json`, `MODULE.test-result.json`',
  'A DSSE envelope around an in-toto statement. Without signatures it says nothing about who made it.',
  {
    payloadType: v.literal('application/vnd.in-toto+json'),
    payload: described(v.string(), 'The statement as JSON, base64.'),
    signatures: v.array(
      v.object({
        keyid: v.optional(described(v.string(), 'SHA-256 of the public key in DER form, hexadecimal.')),
        sig: described(v.string(), 'Over the pre-authentication encoding of DSSE v1, base64.'),
      }),
    ),
  },
);

/** What `kpatch build` was told. The same parameters and dependencies give the same module. */
const parameters = v.object({
  release: v.string(),
  name: v.string(),
  version: natural,
  line: v.optional(v.string()),
  patches: described(
    v.array(v.string()),
    'Names of the patches in their order; their content is in `resolvedDependencies`.',
  ),
  cves: v.array(v.string()),
  replace: v.boolean(),
  acceptLayouts: v.array(v.string()),
  leaveOutInit: v.boolean(),
  keepLineChanges: v.boolean(),
  skipRunPre: v.boolean(),
  skipCompilerCheck: v.boolean(),
  outOfTree: v.optional(described(v.string(), 'Name of the out-of-tree module that is patched.')),
  custom: described(v.boolean(), 'True if the user gave the parts of the kernel.'),
});

export const provenanceDocument = storedWithout(
  'slsa.provenance/1',
  'payload of `MODULE.provenance.json`',
  'What a module was built from: an in-toto statement with the predicate SLSA provenance v1.',
  {
    _type: v.literal('https://in-toto.io/Statement/v1'),
    subject: described(subjects, 'The module file, and the module without its appended signature.'),
    predicateType: v.literal('https://slsa.dev/provenance/v1'),
    predicate: v.object({
      buildDefinition: v.object({
        buildType: v.literal('urn:kpatch:build:v1'),
        externalParameters: parameters,
        internalParameters: v.object({
          sourceVersion: v.string(),
          distribution: v.string(),
          origin: v.optional(described(v.string(), 'The distribution release, as `ID:VERSION`.')),
          buildId: v.optional(v.string()),
          compiler: described(v.string(), 'First line of its `--version`.'),
          toolchain: described(v.picklist(['build root', 'local']), '`local`: programs of the machine that built it.'),
          sandbox: v.boolean(),
        }),
        resolvedDependencies: described(
          v.array(resource),
          'Patches, packages, kernel files, toolchain: `annotations.role` says what each is.',
        ),
      }),
      runDetails: v.object({
        builder: v.object({
          id: v.string(),
          version: v.record(v.string(), v.string()),
          builderDependencies: v.optional(v.array(resource)),
        }),
      }),
    }),
  },
);

export const testResultDocument = storedWithout(
  'in-toto.test-result/0.1',
  'payload of `MODULE.test-result.json`',
  'What a proof showed: an in-toto statement with the predicate test-result v0.1.',
  {
    _type: v.literal('https://in-toto.io/Statement/v1'),
    subject: subjects,
    predicateType: v.literal('https://in-toto.io/attestation/test-result/v0.1'),
    predicate: v.object({
      result: described(v.picklist(['PASSED', 'WARNED', 'FAILED']), '`WARNED`: the verdict is `proven except …`.'),
      configuration: described(v.array(resource), 'The proof file, the kernel image, the test, the programs.'),
      passedTests: v.array(v.string()),
      warnedTests: described(v.array(v.string()), 'Checks that could not be run.'),
      failedTests: v.array(v.string()),
    }),
  },
);

export const reproduceDocument = printed(
  'kpatch.reproduce/1',
  'reproduce',
  'The module was built again from the inputs that its provenance records.',
  {
    module: v.string(),
    identical: described(v.boolean(), 'True if both have the same bytes, apart from the appended signature.'),
    sha256: described(v.object({ given: sha256, rebuilt: sha256 }), 'Digests without the appended signature.'),
    difference: v.nullable(
      v.object({
        section: described(v.string(), 'Name of the first section that differs, or `ELF header`, `section headers`.'),
        offset: v.nullable(described(natural, 'First byte that differs, from the start of the section.')),
        problem: v.string(),
      }),
    ),
    verdict: described(
      v.picklist(['reproduced', 'different', 'other toolchain']),
      '`reproduced`: identical, built with the recorded toolchain. `other toolchain`: not reproduced, because packages of the toolchain could not be had; `identical` then proves nothing.',
    ),
    toolchain: described(
      v.array(
        v.object({
          name: v.string(),
          recorded: v.nullable(described(v.string(), 'Version in the provenance; null if it is not recorded.')),
          used: v.nullable(described(v.string(), 'Version that was used; null if the package was not there.')),
        }),
      ),
      'Packages of the toolchain that were not the recorded ones.',
    ),
    signed: v.boolean(),
    inputs: described(v.array(v.object({ role: v.string(), name: v.string() })), 'What was compared before building.'),
  },
);

const link = v.object({
  link: v.picklist(['module signature', 'provenance', 'proof', 'test result']),
  state: described(
    v.picklist(['verified', 'not verified', 'missing', 'broken']),
    '`not verified`: it fits, but nothing shows who made it.',
  ),
  text: v.string(),
  key: v.optional(described(sha256, 'The key that signed it, if it was verified.')),
});

export const verifyModuleDocument = printed(
  'kpatch.verify-module/1',
  'verify',
  'What is known about the origin of module files.',
  {
    modules: v.array(
      v.object({
        file: v.string(),
        sha256,
        verdict: described(v.picklist(['verified', 'incomplete', 'broken']), '`verified`: every link is.'),
        links: v.array(link),
        kernel: described(
          v.object({ answer: v.picklist(['accepts', 'refuses', 'unknown']), reason: v.string() }),
          'Whether the running kernel would take the signature of the module.',
        ),
        shows: described(v.array(v.string()), 'What the verified links show.'),
        doesNotShow: v.array(v.string()),
      }),
    ),
  },
);
