/** `kpatch policy`: what this machine accepts. */
import type { Command } from 'commander';
import { admit } from '../../host/acceptance/acceptance.ts';
import { type LoadedPolicy, type PolicyState, readPolicyFile, readPolicyState } from '../../host/acceptance/policy.ts';
import { defaultPolicy, type HostPolicy } from '../../host/acceptance/policy-shape.ts';
import { policyProblems } from '../../host/acceptance/policy-status.ts';
import type { Machine } from '../../host/machine/machine.ts';
import { readModuleFile } from '../../host/store/module-file.ts';
import { releasesIn } from '../../host/store/store.ts';
import { keyId } from '../../module/public-key.ts';
import { certificateName } from '../../module/signature-rules.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { columns, type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const policy = program.command('policy').description('what this machine accepts (/etc/kpatch/host-policy.json)');
  withHostOptions(
    policy.command('show').description('the rules that hold, with the keys, and where they come from'),
  ).action(action(show));
  withHostOptions(
    policy
      .command('check [FILE]')
      .description(
        'check that the policy is valid and the installed patches meet it; FILE: another policy, or a module',
      )
      .addHelpText('after', '\nExit status: 0 if there is no problem, 1 if there is one, 4 if FILE would be refused.'),
  ).action(action(check));
}

interface KeyFacts {
  readonly file: string;
  /** SHA-256 of the public key. */
  readonly key: string;
  readonly name?: string;
  readonly revoked: boolean;
}

function show(_: Context, options: HostOptions): Outcome {
  const state = readPolicyState(machineOf(options));
  const rules = state.kind === 'valid' ? state.policy.rules : defaultPolicy;
  const keys = state.kind === 'valid' ? keysOf(state.policy, state) : [];
  const { kind, file, revoked } = state;
  const problem = state.kind === 'unusable' ? state.problem : null;
  const digest = state.kind === 'valid' ? state.policy.digest : null;
  const data = { state: kind, file, digest, problem, rules: kind === 'unusable' ? null : rules, keys, revoked };
  const exit = kind === 'unusable' ? 1 : 0;
  return { exit, schema: 'kpatch.policy-show/1', data, text: showText(state, rules, keys).join('\n') };
}

function showText(state: PolicyState, rules: HostPolicy, keys: readonly KeyFacts[]): string[] {
  const revoked = state.revoked.map(({ key, reason }): string[] => ['revoked key', `${key.slice(0, 16)}... ${reason}`]);
  if (state.kind === 'unusable') {
    return columns([
      ['policy', `CANNOT BE USED: ${state.problem}`],
      ['effect', 'kpatch accepts no new patches'],
      ...revoked,
    ]);
  }
  const { proof, signature, provenance, channels } = rules;
  const age = proof.maxAgeDays === undefined ? 'of any age' : `at most ${proof.maxAgeDays} days old when accepted`;
  const test = proof.test ? ", with the author's test" : '';
  const except = proof.provenExcept ? ', "proven except" allowed' : '';
  const wanted = `required: plan ${proof.plans.join(' or ')}, ${age}${test}${except}`;
  const signed = `required: ${signature.hashes.join(', ')}; RSA of at least ${signature.minimumRsaBits} bits`;
  const source =
    state.kind === 'valid' ? `${state.file} (${state.policy.digest})` : `none (${state.file}); using the defaults`;
  return columns([
    ['policy', source],
    ['proof', proof.required ? wanted : 'not required'],
    ['module signature', signature.required ? signed : 'not required by the policy (the kernel may require one)'],
    ['provenance', provenance.required ? provenanceText(provenance) : 'not required'],
    ['hazards', rules.hazards.deny.length === 0 ? 'any' : `none of the kinds ${rules.hazards.deny.join(', ')}`],
    ['channels', channels === undefined ? 'any' : channels.join(' ') || 'none'],
    ['updates', updateWords[rules.update]],
    ['patches of a revoked key', rules.revoked === 'keep' ? 'kept, with an alarm' : 'removed from the store'],
    ...keys.map(({ file, key, name, revoked: gone }) => [
      'trusted key',
      `${key.slice(0, 16)}... ${file}${name === undefined ? '' : ` (${name})`}${gone ? ' REVOKED' : ''}`,
    ]),
    ...revoked,
  ]);
}

function provenanceText({ builders, materials, sandbox }: HostPolicy['provenance']): string {
  const by = builders === undefined ? 'any builder with a trusted key' : `the builder ${builders.join(' or ')}`;
  const inputs = materials.length === 0 ? '' : `; with the digests of: ${materials.join(', ')}`;
  return `required: by ${by}${sandbox ? ', in the sandbox' : ''}${inputs}`;
}

const updateWords: Readonly<Record<HostPolicy['update'], string>> = {
  install: 'installed automatically',
  fetch: 'downloaded automatically, installed by an administrator',
  nothing: 'neither downloaded nor installed automatically',
};

function check({ report }: Context, options: HostOptions, file?: string): Outcome {
  const machine = machineOf(options);
  if (file?.endsWith('.ko')) return checkModule(machine, file);
  const schema = 'kpatch.policy-check/1';
  if (file !== undefined) {
    const { digest } = readPolicyFile(file, machine.etc);
    return { schema, data: { file, digest, problems: [] }, text: `${file} is valid (${digest})` };
  }
  const state = readPolicyState(machine);
  if (state.kind === 'none') report.note(`there is no policy (${state.file}): root may load any patch`);
  const unusable = state.kind === 'unusable' ? [`${state.file} cannot be used: ${state.problem}`] : [];
  const revoked = state.kind === 'valid' ? keysOf(state.policy, state).filter((key) => key.revoked) : [];
  const problems = [
    ...unusable,
    ...revoked.map(({ file: name }) => `${name} is trusted by the policy and revoked: it does not count`),
    ...policyProblems(machine, releasesIn(machine)),
  ];
  const digest = state.kind === 'valid' ? state.policy.digest : null;
  return {
    exit: problems.length === 0 ? 0 : 1,
    schema,
    data: { file: state.file, digest, problems },
    text: problems.length === 0 ? 'nothing is wrong' : problems.join('\n'),
  };
}

/** Error: why it would be refused. */
function checkModule(machine: Machine, file: string): Outcome {
  const module = readModuleFile(file);
  const { acceptance, alarms } = admit(machine, module, {});
  const text = [`${module.name} would be accepted`, ...alarms].join('\n');
  return { schema: 'kpatch.policy-check/1', data: { file, acceptance, problems: alarms }, text };
}

function keysOf({ proofKeys, builderKeys, certificates }: LoadedPolicy, { revoked }: PolicyState): KeyFacts[] {
  const gone = (key: string): boolean => revoked.some((one) => one.key === key);
  return [
    ...[...proofKeys, ...builderKeys].map(({ file, id }) => ({ file, key: id, revoked: gone(id) })),
    ...certificates.map(({ file, certificate }) => {
      const key = keyId(certificate.publicKey);
      return { file, key, name: certificateName(certificate), revoked: gone(key) };
    }),
  ];
}
