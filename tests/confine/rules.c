/* SPDX-License-Identifier: ISC */
/*
 * Prints the tables of the system call filters, for tests/confine/trace.py:
 * a row a line, with the numbers that the compiler made of it.
 *
 *     allowed ROLES NETWORK CALL ARGUMENT:OPERATION:VALUE:VALUE...
 */
#include "../../common/sandbox_rules.c"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void
print_rows(const char *what, const struct rules *rules)
{
	const struct scmp_arg_cmp *a;
	const struct rule *r;
	char *name;

	for (r = rules->rows; r < rules->rows + rules->n; r++) {
		if (r->call < 0)
			continue;
		name =
		    seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, r->call);
		printf("%s %x %x %s", what, r->roles & (NET - 1U),
		    r->roles / NET, name);
		free(name);
		for (a = r->args; a < r->args + RULE_ARGS && a->op != 0; a++)
			printf(" %u:%d:%" PRIx64 ":%" PRIx64, a->arg, a->op,
			    a->datum_a, a->datum_b);
		putchar('\n');
	}
}

int
main(void)
{
	print_rows("allowed", &sandbox_allowed);
	print_rows("refused", &sandbox_refused);
	print_rows("changing", &sandbox_changing);
	print_rows("killed", &sandbox_killed);
	return 0;
}
