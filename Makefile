# Relais: its daemons and the library that they share.
#
#   make            build (build/imapsd...)       make check    install what is missing, build, test
#   make demo       see it work in a minute     make install  DESTDIR and PREFIX are honoured
#   make deps       install what building and testing needs (Debian, Ubuntu)
#   make bench      what it costs beside others (tests/bench/bench.py says more)
#   make deb        Debian packages, in build/deb
#   make analyze    static analysis, some minutes: cppcheck, clang-tidy, gcc
#   make fuzz       TIME=60 seconds for each of TARGETS (README, Fuzzing)
#   SANITIZE=1      address and undefined behaviour sanitizers, built apart

PREFIX ?= /usr/local
SBINDIR = $(PREFIX)/sbin
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/relais
DATADIR = $(PREFIX)/share/relais
LIBDIR = $(PREFIX)/lib
UNITDIR = $(LIBDIR)/systemd/system
UNITS = $(wildcard conf/systemd/*)
VERSION = 0.1

DAEMONS = imapsd pop3sd smtpsd
CC ?= cc
PKG_CONFIG ?= pkg-config
PKGS = gnutls libevent_core libseccomp libcares libbsd-overlay libsasl2

WARN = -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wformat=2 \
	-Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
# What not every compiler or processor has.  GCC: registers are cleared at a
# function's return; an array at a struct's end has the size it is declared
# with.  x86 and arm64: jumps land where jumps may.
OPTIONAL := $(foreach f,-fstack-clash-protection -ftrivial-auto-var-init=zero \
	-fzero-call-used-regs=used-gpr -fstrict-flex-arrays=3 \
	-fcf-protection=full -mbranch-protection=standard -Wtrampolines,\
	$(shell $(CC) -Werror $f -x c -c /dev/null -o /dev/null 2>/dev/null && \
	    echo $f))
# The last three: a check that the language calls needless stays.
HARDEN = -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 \
	-fstack-protector-strong $(OPTIONAL) -fno-delete-null-pointer-checks \
	-fno-strict-overflow -fno-strict-aliasing
LINK_HARDEN = -pie \
	-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed

ifdef SANITIZE
B = build-san
MODE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -DSANITIZE
LINK_MODE = -pie -fsanitize=address,undefined
else ifdef FUZZ
# FUZZ=coverage: without sanitizers, counting which lines are run.
CC = clang
ifeq ($(FUZZ),coverage)
B = build-cov
MODE = -O1 -g -fprofile-instr-generate -fcoverage-mapping \
	-fsanitize=fuzzer-no-link -DSANITIZE
LINK_MODE = -pie -fprofile-instr-generate -fsanitize=fuzzer
else
B = build-fuzz
MODE = -O2 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer -DSANITIZE
LINK_MODE = -pie -fsanitize=fuzzer,address,undefined
endif
else
B = build
MODE = $(HARDEN)
LINK_MODE = $(LINK_HARDEN)
endif

# -Werror when we build (a checkout), not when users do (a tarball).
WERROR = $(if $(wildcard .git),-Werror)

ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -fno-common -fPIE \
	$(WARN) $(WERROR) $(MODE) -ffile-prefix-map=$(CURDIR)=. -Icommon -MMD -MP \
	$(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
LIBS = $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null)

COMMON_OBJ = $(patsubst %.c,$B/obj/%.o,$(sort $(wildcard common/*.c)))
UNIT_TESTS = $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/test_*.c))

all: $(DAEMONS:%=$B/%)

$B/obj/%.o: %.c | $B/.packages
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# A clear word instead of a hundred compiler errors.
$B/.packages:
	@mkdir -p $B
	@$(PKG_CONFIG) --exists --print-errors $(PKGS) || \
	    { echo "Libraries are missing: run 'make deps' first." >&2; exit 1; }
	@touch $@

$B/libcommon.a: $(COMMON_OBJ)
	@rm -f $@
	ar rcsD $@ $^

define daemon
$B/$1: $(patsubst %.c,$B/obj/%.o,$(sort $(wildcard $1/*.c))) $B/libcommon.a
	$$(CC) $$(LINK_MODE) $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach d,$(DAEMONS),$(eval $(call daemon,$d)))

# A unit test may reach what belongs to a daemon, but not its main().
parts = $(patsubst %.c,$B/obj/%.o,$(filter-out $1/main.c,$(wildcard $1/*.c)))
$B/unit/test_imap%: PARTS = $(call parts,imapsd)
$B/unit/test_pop3%: PARTS = $(call parts,pop3sd)
$B/unit/test_smtp%: PARTS = $(call parts,smtpsd)
$B/unit/%: tests/unit/%.c $(foreach d,$(DAEMONS),$(call parts,$d)) $B/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(DAEMONS:%=-I%) $(LINK_MODE) $(LDFLAGS) -o $@ $< \
	    $(PARTS) $B/libcommon.a -lcmocka $(LIBS)

unit: $(UNIT_TESTS)

# The daemons once more, with what tries in each role what it may do; all else
# is the very same (tests/confine/inside.c).
CONFINE = $(DAEMONS:%=$B/confine/%)
INSIDE_OBJ = $(patsubst %.c,$B/obj/%.o,$(wildcard tests/confine/inside*.c))
define confine_daemon
$B/confine/$1: $(patsubst %.c,$B/obj/%.o,$(wildcard $1/*.c)) $(INSIDE_OBJ) $B/libcommon.a
	@mkdir -p $$(@D)
	$$(CC) $$(LINK_MODE) -Wl,--wrap=role_confine $$(LDFLAGS) -o $$@ $$^ $$(LIBS)
endef
$(foreach d,$(DAEMONS),$(eval $(call confine_daemon,$d)))
confine-programs: $(CONFINE)

# Fuzzing, with FUZZ=1 or FUZZ=coverage: as unit tests, each with the parts of
# the daemon that its name has.  fuzz_session_* are whole sessions.
FUZZ_TARGETS = $(patsubst tests/fuzz/%.c,$B/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
$B/fuzz/fuzz_imap% $B/fuzz/fuzz_session_imap: PARTS = $(call parts,imapsd)
$B/fuzz/fuzz_pop3% $B/fuzz/fuzz_session_pop3: PARTS = $(call parts,pop3sd)
$B/fuzz/fuzz_smtp% $B/fuzz/fuzz_session_smtp: PARTS = $(call parts,smtpsd)
$B/fuzz/fuzz_master: PARTS = $(patsubst %,$B/obj/smtpsd/smtp_%.o,record log)
# How alike names are is no parser's matter, and would be most of the time.
ifdef FUZZ
$B/obj/common/conf_table.o: MODE += -fno-sanitize-coverage=trace-cmp
endif
# Its own functions stand in for those of the library beside which they lie.
$(patsubst %,$B/fuzz/fuzz_%,broker control master): LINK_MODE += -Wl,-z,muldefs
$B/fuzz/%: tests/fuzz/%.c $(foreach d,$(DAEMONS),$(call parts,$d)) $B/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(DAEMONS:%=-I%) -Itests/fuzz $(LINK_MODE) \
	    $(LDFLAGS) -o $@ $< $(PARTS) $B/libcommon.a $(LIBS)

fuzz-programs: $(FUZZ_TARGETS)

# What the benchmark needs.  Its client is OpenSSL's, so that another than
# GnuTLS tries what GnuTLS does.
BENCH = $(addprefix $B/bench/,mailload mailsink floor)
bench_obj = $(patsubst %.c,$B/obj/%.o,$(wildcard tests/bench/$1.c))
$B/bench/mailload: $(call bench_obj,load*) $(call bench_obj,pattern)
$B/bench/mailsink: $(call bench_obj,sink*) $(call bench_obj,pattern)
$B/bench/floor: $(call bench_obj,floor)
$(BENCH):
	@mkdir -p $(@D)
	$(CC) $(LINK_MODE) $(LDFLAGS) -o $@ $^ -lssl -lcrypto $(LIBS)

$(call bench_obj,*): | $B/.packages-bench
$B/.packages-bench:
	@mkdir -p $B
	@$(PKG_CONFIG) --exists --print-errors openssl || \
	    { echo "OpenSSL's headers are missing: run 'make deps' first." >&2; exit 1; }
	@touch $@

bench-programs: $(BENCH)

# The daemons with roles that can be taken over: for tests/e2e/hostile.py.
HOSTILE = $(DAEMONS:%=$B/hostile/%)
define hostile
$B/hostile/$1: $B/obj/tests/hostile/hostile.o \
    $(patsubst %.c,$B/obj/%.o,$(wildcard $1/*.c)) $B/libcommon.a
	@mkdir -p $$(@D)
	$$(CC) $$(LINK_MODE) $$(LDFLAGS) -Wl,--wrap=role_confine -o $$@ $$^ $$(LIBS)
endef
$(foreach d,$(DAEMONS),$(eval $(call hostile,$d)))

hostile: $(HOSTILE)

clean:
	rm -rf build build-san build-fuzz build-cov

-include $(wildcard $B/obj/*/*.d $B/obj/*/*/*.d $B/unit/*.d $B/fuzz/*.d)

.PHONY: all unit confine-programs fuzz-programs bench-programs hostile clean

# Test, show, install.

deps:
	@tests/deps

check:
	@tests/deps
	@$(MAKE) --no-print-directory -j"$$(nproc)" all unit \
	    confine-programs bench-programs hostile
	@if $(CAN_FUZZ); then $(MAKE) --no-print-directory -j"$$(nproc)" \
	    SANITIZE= FUZZ=1 fuzz-programs; fi
	@RELAIS_BUILD=$B tests/run.py

# Is there clang with libFuzzer?  Without, its test is skipped.
CAN_FUZZ = echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) \
	{ return p + n == 0; }' | clang -x c -fsanitize=fuzzer,address \
	-o /dev/null - 2>/dev/null

fuzz:
	@tests/deps
	@$(MAKE) --no-print-directory -j"$$(nproc)" FUZZ=1 fuzz-programs
	@RUNS='$(RUNS)' tests/fuzz/fuzz.py run $(or $(TIME),60) $(TARGETS)

fuzz-coverage:
	@tests/deps
	@$(MAKE) --no-print-directory -j"$$(nproc)" FUZZ=coverage fuzz-programs
	@tests/fuzz/fuzz.py coverage $(TARGETS)

demo:
	@tests/deps
	@$(MAKE) --no-print-directory -j"$$(nproc)" all
	@RELAIS_BUILD=$B ONCE=$(ONCE) tests/demo.py

# ANALYZE names files: the default is all.
ANALYZE_FLAGS = -std=c17 -D_GNU_SOURCE -DVERSION="$(VERSION)" -Icommon \
	$(shell $(PKG_CONFIG) --cflags $(PKGS))
analyze:
	@FLAGS='$(ANALYZE_FLAGS)' tests/analyze $(ANALYZE)

bench: all bench-programs
	@RELAIS_BUILD=$B ROUNDS='$(ROUNDS)' CASES='$(CASES)' \
	    SUBJECTS='$(SUBJECTS)' OUT='$(OUT)' GROWTH='$(GROWTH)' \
	    tests/bench/bench.py

# Packagers take install-common for what the daemons share, and of each daemon
# install-DAEMON.
install: install-common $(DAEMONS:%=install-%)

# Files that name a program get the path that it has: $(call install_as,TO,FILES)
install_as = $(if $2,install -d $(DESTDIR)$1; for f in $2; do \
	    to=$(DESTDIR)$1/$$(basename $$f); \
	    sed 's|/usr/local/sbin/|/usr/sbin/|g; s|/usr/sbin/|$(SBINDIR)/|g' \
	        $$f >$$to && chmod 644 $$to || exit 1; done)
# What another program may be given, each below the folder that it is in here.
SAMPLES = $(patsubst conf/%,%,$(wildcard conf/syslog/*/* conf/fail2ban/*/* \
	conf/prometheus/* conf/grafana/*))

units_of = $(foreach u,$(UNITS),$(if $(filter $1,$(notdir $u)),$u))
daemon_units = $(addsuffix .%,$(DAEMONS)) $(addsuffix @%,$(DAEMONS)) \
	$(addsuffix -%,$(DAEMONS))

install-common:
	install -d $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(DOCDIR) \
	    $(DESTDIR)$(DATADIR) $(DESTDIR)$(LIBDIR)/sysusers.d \
	    $(DESTDIR)$(LIBDIR)/tmpfiles.d
	install -m 644 conf/relais.conf.5 $(DESTDIR)$(MANDIR)/man5
	install -m 755 conf/make-certificate conf/deploy-certificate \
	    conf/client-setup $(DESTDIR)$(DATADIR)
	install -m 644 conf/client-setup.files $(DESTDIR)$(DATADIR)
	install -m 644 conf/sysusers.d/relais.conf \
	    $(DESTDIR)$(LIBDIR)/sysusers.d
	install -m 644 conf/tmpfiles.d/relais.conf \
	    $(DESTDIR)$(LIBDIR)/tmpfiles.d
	install -m 644 README.md LICENSE $(DESTDIR)$(DOCDIR)
	for f in $(SAMPLES); do \
	    install -D -m 644 conf/$$f $(DESTDIR)$(DOCDIR)/$$f || exit 1; done
	$(call install_as,$(DOCDIR)/inetd,$(wildcard conf/inetd/*))
	$(call install_as,$(UNITDIR),$(filter-out \
	    $(call units_of,$(daemon_units)),$(UNITS)))

# Its program, its page, its sample, its units.
$(DAEMONS:%=install-%): install-%: $B/%
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man8 \
	    $(DESTDIR)$(DOCDIR)
	install -m 755 $B/$* $(DESTDIR)$(SBINDIR)
	install -m 644 $*/$*.8 $(DESTDIR)$(MANDIR)/man8
	install -m 644 conf/$*.conf $(DESTDIR)$(DOCDIR)
	$(call install_as,$(UNITDIR),$(call units_of,$*.% $*@% $*-%))

# Built in a copy, so that nothing of the checkout is in a package and nothing
# of the packaging in the checkout.  DEB_VERSION names another version than
# that of conf/debian/changelog.
DEB_VERSION =
DEB_DIR = build/deb
DEB_COPY = $(DEB_DIR)/relais

deb:
	@command -v dh >/dev/null || { \
	    echo "As root, please: apt-get install debhelper" >&2; exit 1; }
	@rm -rf $(DEB_DIR)
	@mkdir -p $(DEB_COPY)
	@cp -R $(DAEMONS) common conf Makefile README.md LICENSE $(DEB_COPY)
	@mv $(DEB_COPY)/conf/debian $(DEB_COPY)/debian
	@conf/debian/version $(DEB_COPY)/debian/changelog $(DEB_VERSION)
	cd $(DEB_COPY) && env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
	    DEB_BUILD_OPTIONS="noautodbgsym $$DEB_BUILD_OPTIONS" \
	    dpkg-buildpackage -b -us -uc -tc -j"$$(nproc)"
	@rm -rf $(DEB_COPY)
	@ls $(DEB_DIR)/*.deb

.PHONY: deps check fuzz fuzz-coverage demo analyze bench install install-common $(DAEMONS:%=install-%) deb
