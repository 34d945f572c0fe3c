# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Building, testing and installing Xenferry. `make help` lists the targets.
#
# Nothing here may need more than make itself to be read: on a fresh machine `make deps`
# runs before a compiler or pkg-config exists, so pkg-config is asked only inside recipes
# that compile, and targets that install packages start a new make afterwards.

SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
# Objects of test programs are kept, so that nothing is compiled twice.
.SECONDARY:
MAKEFLAGS += --no-builtin-rules --no-builtin-variables --no-print-directory

CC     = gcc
AR     = ar
CLANG  = clang
PREFIX  = /usr/local
SBINDIR = $(PREFIX)/sbin
MANDIR  = $(PREFIX)/share/man
# Of the builds, one for each release of Xen: LIBDIR/xenferry/xen-4.17/xl
LIBDIR  = $(PREFIX)/lib
DATADIR = $(PREFIX)/share
# bash reads what is here when it starts: the distribution's completion of xl has the other place.
BASHDIR = /etc/bash_completion.d
ZSHDIR  = $(DATADIR)/zsh/site-functions
FISHDIR = $(DATADIR)/fish/vendor_completions.d
UNITDIR = $(PREFIX)/lib/systemd/system
# Where Pacemaker looks for agents, whatever PREFIX is.
OCFDIR  = /usr/lib/ocf
JOBS   = $(shell nproc 2>/dev/null || echo 2)
# Seconds that `make fuzz` gives to each target, and `make check` to all of them together.
FUZZ_TIME       = 60
CHECK_FUZZ_TIME = 40
# For additions from the command line: CFLAGS and LDFLAGS come after ours, LDLIBS before the libraries.
CFLAGS  =
LDFLAGS =
LDLIBS  =
# V=1 shows the commands.
Q = $(if $(V),,@)

# ---- variants: plain in build/, sanitized in build/san-..., fuzzing in build/fuzz ----
comma := ,
B     = build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
OBJ   = $(B)/obj

WARN   = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN = -fstack-protector-strong -fstack-clash-protection -fcf-protection
# The sanitizers and _FORTIFY_SOURCE get into each other's way. A trace of theirs needs functions and
# lines alone (-g1).
MODE   = $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer -g1,-D_FORTIFY_SOURCE=2)

PKGS = gnutls libxml-2.0 json-c libxxhash liblz4 libzstd libibverbs librdmacm
# Asked once, when first used.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)
XEN_LIBS   = -lxenlight -lxlutil -lxenctrl -lxenguest -lxencall -lxenforeignmemory -lxenstore -lxenevtchn -lxengnttab \
             -lxentoollog -lxentoolcore

ALL_CPPFLAGS = -I. -D_GNU_SOURCE -D__XEN_TOOLS__
ALL_CFLAGS   = -std=gnu11 -O2 -g -fPIE -pthread $(WARN) $(HARDEN) $(MODE) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS  = -pie -pthread -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
# Tests are linked by the quicker linker of the two in binutils, if it is there; it warns of what
# sanitizers bring with them. (lld takes from an archive what a test has defined itself.)
TEST_LD      = $(eval TEST_LD := $$(if $$(SAN),,$$(if $$(shell command -v ld.gold),-fuse-ld=gold)))$(TEST_LD)
ALL_LIBS     = $(LDLIBS) $(PKG_LIBS) $(XEN_LIBS) -lpthread -lm

# ---- sources: what lies in a folder belongs to it ----
LIB_SRC    := $(wildcard transport/*.c transport/*/*.c pages/*.c precopy/*.c postcopy/*.c qmp/*.c disks/*.c libxl-ext/*/*.c)
TOOLS_SRC  := $(wildcard tools/*.c)
MAIN_SRC   := tools/xl.c
# The xl that is installed: it executes the build for the Xen that runs, and links nothing of Xen.
CHOOSE_SRC := tools/choose.c tools/builds.c tools/guarded.c tools/real_xl.c tools/front.c transport/err.c transport/text.c
TEST_DIRS  := $(wildcard tests/unit tests/conformance tests/procguest tests/disks)
TEST_SRC   := $(wildcard $(TEST_DIRS:=/test_*.c))
HELPER_SRC := $(filter-out $(TEST_SRC),$(wildcard $(TEST_DIRS:=/*.c)))
BENCH_SRC  := $(wildcard tests/bench/*.c)
OLDNEW_SRC := $(wildcard tests/oldnew/*.c)
CLUSTER_SRC := $(wildcard tests/cluster/*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_HELPER_SRC := $(filter-out $(FUZZ_SRC),$(wildcard tests/fuzz/*.c))
FRONT_TESTS := $(sort $(wildcard tests/front/*.sh))
# A real Pacemaker (test_agent.sh needs none and is among SCRIPTS): what it decides is part of `make check`;
# clusters that run are in `make cluster-check`.
CLUSTER_TESTS := tests/cluster/test_policy.sh
CLUSTER_LONG  := $(addprefix tests/cluster/test_,drain.sh left.sh evacuate.sh balance.sh shutdown.sh) tests/plan/test_plan.sh
# About the source and the tests themselves.
SCRIPTS    := tests/accusations.sh tests/failure_table.sh tests/environment.sh tests/test_environment.sh tests/layers.sh \
              tests/test_layers.sh tests/circles.sh tests/test_circles.sh tests/test_deps.sh tests/test_install.sh tests/test_service.sh tests/test_runner.sh tests/lab/test_lib.sh \
              tests/lab/test_progress.sh tests/cluster/test_agent.sh
MAN        := $(wildcard docs/*.1 docs/*.5 docs/*.7 docs/*.8)
PLAN_PARTS := $(wildcard cluster/plan/*.sh)
PLAN_UNITS := $(wildcard cluster/xenferry-plan.service cluster/xenferry-plan.timer)
HEADERS    := $(wildcard */*.h */*/*.h)
ALL_SRC    := $(LIB_SRC) $(TOOLS_SRC) $(TEST_SRC) $(HELPER_SRC) $(BENCH_SRC) $(FUZZ_SRC) \
              $(FUZZ_HELPER_SRC) $(OLDNEW_SRC) $(CLUSTER_SRC)
TEST_NAMES := $(basename $(TEST_SRC))
# What `make test` runs: all but those that take more than half a minute of a busy machine, or need a QEMU or other
# shells, and of the process guest's, which need root, two short ones.
SLOW_TESTS := $(addprefix tests/unit/test_,bootstrap engine engine_fail queue relink) tests/conformance/test_drip
QUICK_FRONT := $(filter-out $(addprefix tests/front/,incomplete.sh hostile.sh completion_shells.sh),$(FRONT_TESTS))
QUICK_FIRST := tests/unit/test_recover tests/unit/test_postcopy
QUICK_TESTS := $(QUICK_FIRST) tests/procguest/test_hangup $(filter-out $(QUICK_FIRST) \
               $(SLOW_TESTS),$(filter-out tests/procguest/% tests/disks/%,$(TEST_NAMES)))
BENCH_NAMES := $(basename $(BENCH_SRC) $(CLUSTER_SRC))
FUZZ_NAMES := $(notdir $(basename $(FUZZ_SRC)))

# The release of Xen that is built for.
XEN_RELEASE = $(eval XEN_RELEASE := $$(shell pkg-config --modversion xencontrol | cut -d. -f1-2))$(XEN_RELEASE)
objs = $(patsubst %.c,$(OBJ)/%.o,$(1))
LIB     = $(B)/libxenferry.a
FRONT   = $(B)/front.a
HELPERS = $(B)/tests/helpers.a

.PHONY: FORCE all tests test deps check check-suite deb deb-hypervisor deb-check package-check check-run check-build check-sanitized soak demo cluster-check lab-check lab-soak old-new bench bench-drain bench-rdma bench-postcopy bench-hvm bench-forecast bench-disks soak-disks lint format fuzz fuzz-build install \
        uninstall clean help
.DEFAULT_GOAL := all
all: $(B)/xl $(B)/choose
tests: $(addprefix $(B)/,$(TEST_NAMES) $(BENCH_NAMES)) $(B)/tests/front/choose

# Changed only when the compiler, its flags or Xen are, so that editing this file compiles nothing again.
FLAGS = $(OBJ)/flags
$(FLAGS): FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)) $(XEN_RELEASE)' | cmp -s - $@ || \
        printf '%s\n' '$(subst ','\'',$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)) $(XEN_RELEASE)' >$@
FORCE:

$(OBJ)/%.o: %.c $(FLAGS)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/transport/version.o: private ALL_CPPFLAGS += -DXF_VERSION_TEXT='"$(shell cat VERSION)"'
$(OBJ)/transport/version.o: VERSION

# Xen's libraries speak to no other release than theirs.
$(OBJ)/libxl-ext/xen/xen_open.o: private ALL_CPPFLAGS += -DXF_XEN_RELEASE='"$(XEN_RELEASE)"'

# The schema is embedded in the binary by .incbin, which leaves no trace in the .d file.
$(OBJ)/libxl-ext/host/config.o: docs/xenferry.rng

define archive
	@mkdir -p $(@D)
	@echo "  AR    $@"
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(filter %.o,$^)
endef
$(LIB): $(call objs,$(LIB_SRC))
	$(archive)
$(FRONT): $(call objs,$(filter-out $(MAIN_SRC) tools/choose.c,$(TOOLS_SRC)))
	$(archive)
$(HELPERS): $(call objs,$(HELPER_SRC))
	$(archive)

define link
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(1) $(ALL_LIBS)
endef
$(B)/xl: $(call objs,$(MAIN_SRC)) $(FRONT) $(LIB)
	$(call link)
# LIBDIR is compiled in; this file changes only when it does.
$(B)/libdir: FORCE
	@mkdir -p $(@D)
	@cmp -s $@ - <<<'$(LIBDIR)' || echo '$(LIBDIR)' >$@
FORCE:
$(OBJ)/tools/choose.o: $(B)/libdir
$(OBJ)/tools/choose.o: ALL_CPPFLAGS += -DXF_BUILDS='"$(LIBDIR)/xenferry"'
$(B)/choose: $(call objs,$(CHOOSE_SRC))
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^
# The same with builds and a hypervisor made up in the directory where it is run.
$(B)/tests/front/choose: $(CHOOSE_SRC) tools/builds.h
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CPPFLAGS) -DXF_BUILDS='"builds"' -DXF_HYPERVISOR='"hypervisor"' $(ALL_CFLAGS) \
	    $(ALL_LDFLAGS) -o $@ $(filter %.c,$^)
# Test programs may use everything but xl's main. What they define themselves wins: in the copy of
# the product that they are linked with every symbol is weak. Two definitions of their own are an
# error, and so is one that replaces nothing (tests/mocks.sh).
WEAK  = $(B)/tests/front.a $(B)/tests/libxenferry.a
NAMES = $(B)/tests/names
weak  = $(patsubst %.c,$(B)/weak/%.o,$(1))
# Not objcopy --weaken: what an object only uses would be weak, too, and be NULL where it is missing.
$(B)/weak/%.o: $(OBJ)/%.o
	@mkdir -p $(@D)
	@nm -g --defined-only $< | awk 'NF == 3 { print $$3 }' >$@.names
	@objcopy --weaken-symbols=$@.names $< $@
$(B)/tests/front.a: $(call weak,$(filter-out $(MAIN_SRC) tools/choose.c,$(TOOLS_SRC)))
	$(archive)
$(B)/tests/libxenferry.a: $(call weak,$(LIB_SRC))
	$(archive)
$(NAMES): $(HELPERS) $(FRONT) $(LIB)
	@mkdir -p $(@D)
	@{ nm -g --defined-only $(FRONT) $(LIB); nm -gu $^; } 2>/dev/null | awk 'NF > 1 { print $$NF }' | sort -u >$@
$(B)/tests/%: $(OBJ)/tests/%.o $(HELPERS) $(WEAK) $(NAMES) tests/mocks.sh
	@tests/mocks.sh $(NAMES) $(filter %.o,$^)
	$(call link,$(TEST_LD) -lcunit)

# The guest that QEMU moves in the race: 32 bits, no C library.
PAYLOAD = build/tests/bench/payload.elf
$(PAYLOAD): tests/bench/payload/start.S tests/bench/payload/payload.c tests/bench/payload/payload.ld \
            tests/procguest/content.h
	@mkdir -p $(@D)
	@echo "  LINK  $@"
	$(Q)$(CC) -m32 -I. -std=gnu11 -O2 $(WARN) -ffreestanding -nostdlib -static -fno-pie -no-pie \
	    -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	    -mgeneral-regs-only -Wl,--build-id=none -Wl,--no-warn-rwx-segments \
	    -Wl,-T,tests/bench/payload/payload.ld -o $@ $(filter %.S %.c,$^)

# ---- fuzzing: everything again by clang, with coverage; one program per tests/fuzz/fuzz_*.c ----
FUZZ_MAKE = $(MAKE) CC=$(CLANG) SAN=fuzzer-no-link,address,undefined B=build/fuzz
fuzz-build:
	+@$(FUZZ_MAKE) $(addprefix build/fuzz/tests/fuzz/,$(FUZZ_NAMES))
# What a target defines itself wins, as in a test.
$(B)/tests/fuzz/%: $(OBJ)/tests/fuzz/%.o $(call objs,$(FUZZ_HELPER_SRC)) $(WEAK) $(NAMES) tests/mocks.sh
	@tests/mocks.sh $(NAMES) $(filter %.o,$^)
	$(call link,$(TEST_LD) -fsanitize=fuzzer -Wl$(comma)--wrap=malloc$(comma)--wrap=free)

fuzz: fuzz-build
	@for f in $(FUZZ_NAMES); do tests/fuzz/run.sh $$f $(FUZZ_TIME); done

# ---- packages ----
deps:
	@tests/deps.sh tests/packages-build.txt tests/packages.txt tests/lab/packages.txt

# ---- tests ----
# What needs neither root nor a lab, a network or apt, and does not take long.
test:
	@tests/deps.sh --only-say tests/packages-build.txt
	@$(MAKE) -j$(JOBS) all $(addprefix $(B)/,$(QUICK_TESTS) tests/front/choose)
	@TESTS='$(QUICK_TESTS)' FRONT_TESTS='$(QUICK_FRONT)' SCRIPTS='$(SCRIPTS)' MAN='$(MAN)' \
	 DIR=$(B) tests/test.sh

check: deps
	@$(MAKE) check-run

# The sanitized programs are those of the fuzzing build: the sanitizers are the same, and half
# of what would be compiled twice is not.
check-run:
	+@tests/lab/beside.sh $(MAKE) check-build
	@TESTS='$(TEST_NAMES)' FRONT_TESTS='$(FRONT_TESTS)' CLUSTER_TESTS='$(CLUSTER_TESTS)' SCRIPTS='$(SCRIPTS)' \
	 FUZZ='$(FUZZ_NAMES)' MAN='$(MAN)' SAN_DIR=build/fuzz FUZZ_TIME=$(CHECK_FUZZ_TIME) tests/check.sh

# A compiler touches 100 MiB of fresh memory for each file: in huge pages it takes an eighth less time.
check-build check-sanitized: export GLIBC_TUNABLES = glibc.malloc.hugetlb=1
check-build:
	+@$(MAKE) -j$(JOBS) all tests

# By check.sh, beside the plain tests.
check-sanitized:
	+@$(FUZZ_MAKE) -j$(JOBS) all tests $(addprefix build/fuzz/tests/fuzz/,$(FUZZ_NAMES))

# Moves of the process guest in which something fails at a random moment, until it is stopped.
SEEDS ?= 0
soak: deps
	@$(MAKE) -j$(JOBS) $(B)/tests/procguest/test_death
	SEEDS=$(SEEDS) $(B)/tests/procguest/test_death

# An older build and this one, moving a process guest to each other.
old-new: deps
	@$(MAKE) -j$(JOBS) $(B)/tests/oldnew/end
	@tests/old_new.sh

# Real Pacemaker clusters in namespaces, and pages about moves in a real browser.
cluster-check: deps
	@$(MAKE) -j$(JOBS) all $(addprefix $(B)/,$(basename $(CLUSTER_SRC)))
	@CLUSTER_LONG='$(CLUSTER_LONG)' DIR=$(B) tests/cluster_check.sh

# What `make test` runs, in a Debian release that this machine need not run, with its Xen and its compiler.
SUITE = trixie
check-suite:
	@tests/suite/suite run $(SUITE) make test B=build/$(SUITE) JOBS=$(JOBS)

# Packages for a Debian release, built there, and a test that installs and removes them; of both releases,
# and built twice, in package-check.
deb:
	@tests/suite/deb $(SUITE)
deb-hypervisor:
	@tests/suite/hypervisor $(SUITE)
deb-check: deb
	@tests/suite/suite run $(SUITE) tests/suite/test_deb.sh
package-check:
	@for s in bookworm trixie; do \
	    tests/suite/deb $$s twice; tests/suite/suite run $$s tests/suite/test_deb.sh; \
	done

demo: deps
	+@tests/lab/beside.sh $(MAKE) -j$(JOBS) all
	@tests/lab/demo.sh
lab-check: deps
	@$(MAKE) --no-print-directory all $(addprefix $(B)/,$(filter tests/conformance/%,$(TEST_NAMES)))
	@tests/lab/run-tests
bench-rdma: deps
	@$(MAKE) -j$(JOBS) all $(B)/tests/bench/link_bench
	@tests/lab/bench-rdma.sh
bench-postcopy: deps
	@$(MAKE) -j$(JOBS) all
	@tests/lab/bench-postcopy.sh
bench-hvm: deps
	@$(MAKE) -j$(JOBS) all
	@tests/lab/bench-hvm.sh
bench: deps
	@$(MAKE) -j$(JOBS) $(addprefix $(B)/tests/bench/,race_guest race_limits race_delay) $(PAYLOAD)
	@python3 -B tests/bench/race.py
bench-forecast: deps
	@$(MAKE) -j$(JOBS) $(addprefix $(B)/tests/bench/,race_guest race_delay)
	@python3 -B tests/bench/forecast.py
bench-drain: deps
	@$(MAKE) -j$(JOBS) $(addprefix $(B)/tests/,bench/race_guest bench/race_limits bench/race_delay unit/test_queue) $(PAYLOAD)
	@python3 -B tests/bench/drain.py
bench-disks: deps
	@$(MAKE) -j$(JOBS) $(B)/tests/bench/disk_bench
	@python3 -B tests/bench/disks.py
# Mirrors that are started and cancelled while a guest writes: its QEMU lives.
soak-disks: deps
	@$(MAKE) -j$(JOBS) $(B)/tests/bench/disk_churn
	@$(B)/tests/bench/disk_churn $(STARTS)
STARTS ?= 100
lab-soak: deps
	@$(MAKE) -j$(JOBS) all
	@tests/lab/soak.sh

# ---- looking at the source ----
FORMATTED := $(ALL_SRC) $(HEADERS) tests/bench/payload/payload.c
lint:
	@echo "  LINT  cppcheck"
	@# What it is given at once it takes for one program, so that a function of a test could be
	@# called as another test calls its own of that name: every program with a main by itself.
	@printf '%s\n' $(TEST_SRC) $(BENCH_SRC) $(FUZZ_SRC) $(OLDNEW_SRC) $(CLUSTER_SRC) '$(filter-out \
	    $(TEST_SRC) $(BENCH_SRC) $(FUZZ_SRC) $(OLDNEW_SRC) $(CLUSTER_SRC),$(ALL_SRC))' | xargs -P$(JOBS) -I{} sh -c 'cppcheck -q --std=c11 --language=c \
	    --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem --suppress=unknownMacro -I. -D_GNU_SOURCE \
	    -D__XEN_TOOLS__ {}'
	@echo "  LINT  clang-tidy"
	@# Not the tests: it does not know that CUnit's fatal assertions never return.
	@printf '%s\n' $(LIB_SRC) $(TOOLS_SRC) | xargs -P$(JOBS) -n4 sh -c 'clang-tidy --quiet "$$@" \
	    -- -std=gnu11 $(ALL_CPPFLAGS) -DXF_BUILDS=\"0\" -DXF_VERSION_TEXT=\"0\" -DXF_XEN_RELEASE=\"0\" $(PKG_CFLAGS)' sh
	@echo "  LINT  locks"
	@printf '%s\n' $(LIB_SRC) $(TOOLS_SRC) | xargs -P$(JOBS) -n8 $(CLANG) -fsyntax-only -std=gnu11 \
	    $(ALL_CPPFLAGS) -DXF_BUILDS=\"0\" -DXF_VERSION_TEXT=\"0\" -DXF_XEN_RELEASE=\"0\" $(PKG_CFLAGS) -DXF_CHECK_LOCKS -Wthread-safety -Werror
	@echo "  LINT  shellcheck"
	@shellcheck -x tests/*.sh tests/*.bash tests/fuzz/*.sh tests/lab/test_*.sh tests/lab/beside.sh \
	    tests/lab/lib/progress.sh tests/suite/suite tests/suite/deb tests/suite/hypervisor tests/suite/*.sh .ci/run $(FRONT_TESTS) completion/xenferry.bash cluster/xenferry-plan $(PLAN_PARTS) tests/plan/*.sh \
	    cluster/Guest tests/cluster/cluster tests/cluster/*.sh tests/cluster/lib.bash tests/cluster/lib/*.sh tests/cluster/node/* \
	    tests/browser/browser tests/browser/*.sh
	@$(if $(MAN),echo "  LINT  mandoc"; mandoc -Tlint -Wwarning $(MAN))
	@echo "  LINT  layers"
	@tests/layers.sh
	@echo "  LINT  environment"
	@tests/environment.sh
	@echo "  LINT  clang-format"
	@clang-format --dry-run -Werror $(FORMATTED)

format:
	@clang-format -i $(FORMATTED)

# ---- installing ----
install: all
	install -D -m 755 $(B)/choose $(DESTDIR)$(SBINDIR)/xl
	install -D -m 755 $(B)/xl $(DESTDIR)$(LIBDIR)/xenferry/xen-$(XEN_RELEASE)/xl
	install -D -m 644 docs/xenferry.rng $(DESTDIR)$(DATADIR)/xenferry/xenferry.rng
	install -D -m 644 completion/xenferry.bash $(DESTDIR)$(BASHDIR)/xenferry
	install -D -m 644 completion/xenferry.zsh $(DESTDIR)$(ZSHDIR)/_xl
	install -D -m 644 completion/xenferry.fish $(DESTDIR)$(FISHDIR)/xl.fish
	install -d $(DESTDIR)$(DATADIR)/xenferry/plan $(DESTDIR)$(UNITDIR)
	install -m 644 $(PLAN_PARTS) $(DESTDIR)$(DATADIR)/xenferry/plan
	sed 's|^parts=.*|parts=$(DATADIR)/xenferry/plan|' cluster/xenferry-plan | \
	    install -m 755 /dev/stdin $(DESTDIR)$(SBINDIR)/xenferry-plan
	for u in $(PLAN_UNITS); do \
	    sed 's|@SBINDIR@|$(SBINDIR)|' $$u | install -m 644 /dev/stdin $(DESTDIR)$(UNITDIR)/$${u##*/}; \
	done
	install -D -m 755 cluster/Guest $(DESTDIR)$(OCFDIR)/resource.d/xenferry/Guest
	install -D -m 644 service/xenferry-drain.service.in $(DESTDIR)$(UNITDIR)/xenferry-drain.service
	sed -i 's|@SBINDIR@|$(SBINDIR)|' $(DESTDIR)$(UNITDIR)/xenferry-drain.service
	for m in $(MAN); do \
	    install -D -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/}; \
	done

# Only what is ours goes: an xl that somebody has put there since stays.
uninstall:
	if grep -qs 'xenferry front command' $(DESTDIR)$(SBINDIR)/xl; then rm $(DESTDIR)$(SBINDIR)/xl; fi
	rm -rf $(DESTDIR)$(DATADIR)/xenferry $(DESTDIR)$(LIBDIR)/xenferry
	rm -f $(DESTDIR)$(SBINDIR)/xenferry-plan $(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(PLAN_UNITS)))
	rm -f $(DESTDIR)$(OCFDIR)/resource.d/xenferry/Guest
	rmdir $(DESTDIR)$(OCFDIR)/resource.d/xenferry 2>/dev/null || true
	rm -f $(DESTDIR)$(UNITDIR)/xenferry-drain.service $(DESTDIR)$(BASHDIR)/xenferry
	rm -f $(DESTDIR)$(ZSHDIR)/_xl $(DESTDIR)$(FISHDIR)/xl.fish
	rm -f $(foreach m,$(notdir $(MAN)),$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(m)))/$(m))

clean:
	rm -rf build

help:
	@echo 'make                the command: build/xl'
	@echo 'make test           what needs no root and no lab: in a minute, once it is built'
	@echo 'make check          install what is missing, build, run every test (as root)'
	@echo 'make check-suite    what make test runs, in another Debian release: SUITE=trixie or bookworm (as root)'
	@echo 'make deb            packages for SUITE=trixie or bookworm, in build/deb; make deb-check tests them (as root)'
	@echo 'make deb-hypervisor a package of its hypervisor with memory paging'
	@echo 'make package-check  builds the packages of both releases twice, installs and removes them (as root)'
	@echo 'make demo           two Xen hosts in emulation and a guest moved between them (as root)'
	@echo 'make deps           install the Debian packages that building and testing need (as root)'
	@echo 'make install        PREFIX=/usr/local  SBINDIR=  LIBDIR=  MANDIR=  BASHDIR=  ZSHDIR=  FISHDIR=  UNITDIR=  OCFDIR=  DESTDIR=; make uninstall likewise'
	@echo 'make tests          the test programs, not run'
	@echo 'make fuzz           FUZZ_TIME=60 seconds for every fuzz target'
	@echo 'make cluster-check  Pacemaker clusters in namespaces, and pages in a browser (as root)'
	@echo 'make lab-check      every test of the lab (two hours)'
	@echo 'make bench          a race against QEMU in this machine: build/bench/native.json (as root)'
	@echo 'make bench-forecast  what a move is said to take, against what it takes: build/bench/forecast.json (as root)'
	@echo 'make bench-drain    a host of eight guests empties, and QEMU: build/bench/drain.json (as root)'
	@echo 'make bench-disks    disks that move, against qemu-img over the same line: build/bench/disks.json (as root)'
	@echo 'make bench-rdma     RDMA in the lab against perftest and TCP: build/bench/rdma.json'
	@echo 'make bench-postcopy  post-copy in the lab against stock and pre-copy: build/bench/postcopy.json, .svg'
	@echo 'make bench-hvm      an HVM guest in the lab beside a PVH guest and stock: build/bench/hvm.json'
	@echo 'make soak           moves of a process guest that fail at random, until stopped; SEEDS=N of them'
	@echo 'make soak-disks     STARTS=100 copies of a disk started and cancelled under a writer'
	@echo 'make old-new        an older build and this one move a guest to each other (as root)'
	@echo 'make lab-soak       MOVES=20 there and back in the lab, every byte verified'
	@echo 'make lint format    what the tools say of the source; the source as clang-format has it'
	@echo 'make clean'
	@echo 'V=1 with any of them shows the commands'
	@echo 'SAN=address,undefined with any of the first builds a sanitized copy in build/san-...'

# Only with -MMD files that exist, so never on a fresh tree.
-include $(shell find build -name '*.d' 2>/dev/null)
