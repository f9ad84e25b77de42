/*
 * Reaches the functions that the shields of this folder protect, without using the vulnerabilities. It prints the error of
 * each attempt by name and exits with status 0 if the attempt was refused with EPERM, 1 if it ended in any other way.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_alg.h>
#include <linux/if_pppox.h>
#include <linux/ppp-ioctl.h>
#include <sound/asound.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static int ended(const char *what, long result)
{
	printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "done");
	return result < 0 && errno == EPERM ? 0 : 1;
}

/* Mounts a device without a file system on it. */
static int mounts(const char *type, const char *device)
{
	return ended(type, mount(device, "/mnt", type, MS_RDONLY, NULL));
}

/* Adds a control element to the first sound card. */
static int element(int type)
{
	static const char names[] = "one\0two";
	struct snd_ctl_elem_info info = { .id = { .iface = SNDRV_CTL_ELEM_IFACE_MIXER }, .count = 1, .type = type };
	int card = open("/dev/snd/controlC0", O_RDWR);

	if (card < 0)
		return ended("open", card);
	/* The kernel complains of a name that exists already. */
	snprintf((char *)info.id.name, sizeof(info.id.name), "kpatch test %d", getpid());
	info.access = SNDRV_CTL_ELEM_ACCESS_READWRITE;
	if (type == SNDRV_CTL_ELEM_TYPE_ENUMERATED) {
		info.value.enumerated.items = 2;
		info.value.enumerated.names_ptr = (unsigned long)names;
		info.value.enumerated.names_length = sizeof(names);
	} else {
		info.value.integer.max = 1;
	}
	return ended("element", ioctl(card, SNDRV_CTL_IOCTL_ELEM_ADD, &info));
}

/* Asks a PPP over L2TP socket that is not connected for its MRU. */
static int session(void)
{
	int value = 0;
	int s = socket(AF_PPPOX, SOCK_DGRAM, PX_PROTO_OL2TP);

	return ended(s < 0 ? "socket" : "ioctl", s < 0 ? s : ioctl(s, PPPIOCGMRU, &value));
}

/* Encrypts 16 bytes through a cipher socket, as the user `uid`. */
static int cipher(int uid)
{
	struct sockaddr_alg name = { .salg_family = AF_ALG, .salg_type = "skcipher", .salg_name = "ecb(aes)" };
	char block[16] = "";
	int s = socket(AF_ALG, SOCK_SEQPACKET, 0), op;

	if (s < 0 || bind(s, (struct sockaddr *)&name, sizeof(name)) < 0)
		return ended("bind", -1);
	if (setsockopt(s, SOL_ALG, ALG_SET_KEY, block, sizeof(block)) < 0)
		return ended("key", -1);
	op = accept(s, NULL, 0);
	if (op < 0 || (uid != 0 && setuid(uid) < 0) || send(op, block, sizeof(block), 0) < 0)
		return ended("send", -1);
	return ended("encrypt", recv(op, block, sizeof(block), 0));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "mount") && argc == 4)
		return mounts(argv[2], argv[3]);
	if (!strcmp(what, "enumerated"))
		return element(SNDRV_CTL_ELEM_TYPE_ENUMERATED);
	if (!strcmp(what, "boolean"))
		return element(SNDRV_CTL_ELEM_TYPE_BOOLEAN);
	if (!strcmp(what, "session"))
		return session();
	if (!strcmp(what, "cipher"))
		return cipher(argc > 2 ? 1000 : 0);
	return 2;
}
