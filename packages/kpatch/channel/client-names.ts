/**
 * Names that publisher and follower of a channel agree on. By themselves, because `kpatch status` needs nothing else of a
 * channel.
 */
export const clientPackage = 'kpatch-channel';
/** Where its files are on a machine. */
export const clientFolder = '/usr/share/kpatch/channel';
/** The key ring that `Signed-By` of apt names, and the file that `gpgkey` of dnf names. */
export const aptKeyring = '/etc/apt/keyrings/kpatch-channel.gpg';
export const rpmKeyFile = '/etc/pki/rpm-gpg/RPM-GPG-KEY-kpatch-channel';
