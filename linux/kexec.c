// SPDX-License-Identifier: GPL-2.0-only
/* kexec KERNEL INITRD COMMAND-LINE: loads another kernel and goes to it, calls or no calls. Busybox has no such program. */
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **words)
{
	int kernel, initrd;

	if (count != 4)
		return 2;
	kernel = open(words[1], O_RDONLY);
	initrd = open(words[2], O_RDONLY);
	if (kernel < 0 || initrd < 0 ||
	    syscall(SYS_kexec_file_load, kernel, initrd, strlen(words[3]) + 1, words[3], 0UL)) {
		perror("kexec: cannot load");
		return 1;
	}
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	perror("kexec: cannot go");
	return 1;
}
