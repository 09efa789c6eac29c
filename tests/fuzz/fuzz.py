#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Run the fuzz targets: tests/fuzz/fuzz_X.c is target X.

    tests/fuzz/fuzz.py run SECONDS [X ...]   fuzz each for so long; RUNS=N in
                                             the environment: or N inputs
    tests/fuzz/fuzz.py merge [X ...]         what was found, to corpus/X
    tests/fuzz/fuzz.py coverage [X ...]      lines of the parsers that are run;
                                             SHOW=1: and those that are not

`make fuzz` and `make fuzz-coverage` build first and call it.  New inputs are
kept in build-fuzz/corpus/X, from one run to the next; what fails is in
build-fuzz/found, and build-fuzz/fuzz/fuzz_X FILE shows it again.  "merge" takes
the few that reach each branch into tests/fuzz/corpus/X, which `make check`
replays; those named seed_* were written by hand, and stay."""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TOP, "build-fuzz")
COVERAGE = os.path.join(TOP, "build-cov")

# An input's most octets where it is not 1500: what is slow with long ones.
LENGTH = {"conf": 300, "control": 500, "conf_lex": 500, "sasl_channel": 300,
          "smtp_reply": 700}

# What each is there for: the files that "coverage" tells of.
PARSERS = {
    "base64": ["common/base64.c"],
    "broker": ["common/broker_admit.c", "common/broker_auth.c",
               "common/broker_helper.c", "common/broker_submit.c"],
    "capability": ["common/capability.c"],
    "chain": ["common/keeper_chain.c", "common/keeper_sign.c",
              "common/tls_names.c",
              "common/tls_pairs.c"],
    "conf": ["common/conf.c", "common/conf_args.c", "common/conf_set.c",
             "common/conf_settle.c", "common/conf_listen.c",
             "common/conf_mode.c", "common/conf_names.c",
             "common/conf_port.c", "common/conf_print.c",
             "common/conf_proxy.c", "common/conf_sasl.c",
             "common/conf_server.c", "common/conf_tls.c"],
    "conf_lex": ["common/conf_lex.c", "common/conf_cipher.c",
                 "common/addr.c"],
    "control": ["common/control.c", "common/control_ask.c",
                "common/control_member.c", "common/control_text.c",
                "common/expiry.c"],
    "control_client": ["common/control_client.c"],
    "imap_command": ["imapsd/imap_scan.c"],
    "imap_response": ["imapsd/imap_scan.c", "imapsd/imap_capability.c"],
    "inherit": ["common/inherit.c"],
    "ipc": ["common/ipc.c", "common/fdpass.c"],
    "keeper": ["common/keeper_sign.c", "common/tls_scheme.c"],
    "ledger": ["common/ledger.c"],
    "limit": ["common/limit.c"],
    "master": ["common/supervise_message.c"],
    "metrics_request": ["common/metrics_request.c"],
    "msg": ["common/msg.c", "common/msg_birth.c", "common/msg_broker.c",
            "common/msg_control.c", "common/msg_pair.c",
            "common/msg_record.c", "common/msg_sasl.c",
            "common/msg_stats.c", "common/msg_submit.c",
            "common/session_log.c"],
    "proxy_header": ["common/proxy_header.c"],
    "reload_state": ["common/reload_state.c", "common/handover.c"],
    "sasl": ["common/exchange.c", "common/credentials.c"],
    "sasl_channel": ["common/sasl_channel.c"],
    "sasl_conf": ["common/authenticator_conf.c"],
    "sender_map": ["common/sender_map.c"],
    "session_imap": ["imapsd/imap_auth.c", "imapsd/imap_capability.c",
                     "imapsd/imap_client.c", "imapsd/imap_login.c",
                     "imapsd/imap_scan.c", "imapsd/imap_upstream.c",
                     "common/session.c", "common/session_client.c",
                     "common/session_state.c", "common/session_server.c",
                     "common/command.c"],
    "session_pop3": ["pop3sd/pop3_capability.c", "pop3sd/pop3_client.c",
                     "pop3sd/pop3_upstream.c", "common/exchange.c",
                     "common/session_line.c", "common/session_upstream.c",
                     "common/session_auth.c"],
    "session_smtp": ["smtpsd/smtp_auth.c", "smtpsd/smtp_client.c",
                     "smtpsd/smtp_introduce.c", "smtpsd/smtp_mail.c",
                     "smtpsd/smtp_message.c", "smtpsd/smtp_param.c",
                     "smtpsd/smtp_submit.c", "smtpsd/smtp_upstream.c",
                     "smtpsd/smtp_event.c", "common/session_mail.c",
                     "common/session_sasl.c"],
    "smtp_chunk": ["smtpsd/smtp_chunk.c", "smtpsd/smtp_watch.c"],
    "smtp_command": ["smtpsd/smtp_scan.c", "smtpsd/smtp_path.c"],
    "smtp_data": ["smtpsd/smtp_data.c", "smtpsd/smtp_watch.c"],
    "smtp_record": ["smtpsd/smtp_record.c", "smtpsd/smtp_log.c"],
    "smtp_reply": ["smtpsd/smtp_reply.c", "smtpsd/smtp_capability.c"],
    "smtp_trace": ["smtpsd/smtp_received.c", "smtpsd/smtp_attribute.c"],
    "text": ["common/text.c", "common/line.c"],
    "tls_hello": ["common/tls_hello.c", "common/tls_ticket.c"],
}


# What these files have beside: it reads no octets from outside, but opens
# files, starts, or writes what others read.
BESIDE = {
    "common/authenticator_conf.c": ["sasl_conf_find"],
    "common/broker_helper.c": ["on_deadline"],
    "common/broker_submit.c": ["submits_new", "submits_folder", "look"],
    "common/conf.c": ["slurp", "conf_read_file"],
    "common/control.c": ["is_in_group", "may_ask", "on_accept", "on_again",
                         "take_admit", "control_main"],
    "common/control_client.c": ["control_client_is_asked",
                                "control_client_fault", "send_ask", "refused",
                                "control_client"],
    "common/expiry.c": ["add", "compare", "in_order", "expiry_compose"],
    "common/handover.c": ["write_all", "write_header", "handover_add",
                          "send_all", "handover_add_file"],
    "common/inherit.c": ["cover", "find_standard"],
    "common/ipc.c": ["drop_pending", "ipc_fd", "break_later",
                     "is_for_one_client", "on_writable", "enqueue",
                     "send_frame", "hold", "send_held", "is_holding",
                     "ipc_has_room", "ipc_flush", "on_held", "ipc_send",
                     "ipc_send_later", "is_droppable"],
    "common/keeper_sign.c": ["keeper_key_is_rsa", "keeper_bucket_take"],
    "common/reload_state.c": ["add", "add_head", "add_crew", "add_lists",
                              "add_stats", "reload_state_write"],
    "common/sender_map.c": ["read_all", "sender_map_read"],
    "common/session.c": ["session_kick", "session_is_owed", "session_cut"],
    "common/session_server.c": ["session_turned_away"],
    "common/supervise_message.c": ["break_when_ready"],
    "common/tls_scheme.c": ["tls_scheme_by_sign", "tls_scheme_pkcs1"],
}


def targets(names):
    """All of them, or those that are named."""
    known = sorted(os.path.basename(p)[len("fuzz_"):-len(".c")]
                   for p in glob.glob(os.path.join(HERE, "fuzz_*.c")))
    for name in names:
        if name not in known:
            sys.exit("no target %s; there are: %s" % (name, " ".join(known)))
    return list(names) or known


def program(name, build=BUILD):
    return os.path.join(build, "fuzz", "fuzz_" + name)


def corpus(name):
    """The small one of the sources; made if need be."""
    path = os.path.join(HERE, "corpus", name)
    os.makedirs(path, exist_ok=True)
    return path


def kept(name):
    """What was found here; made if need be."""
    path = os.path.join(BUILD, "corpus", name)
    os.makedirs(path, exist_ok=True)
    return path


def options(name):
    words = ["-timeout=10", "-rss_limit_mb=2500",
             "-max_len=%d" % LENGTH.get(name, 1500)]
    dictionary = os.path.join(HERE, "dict", name)
    if os.path.exists(dictionary):
        words.append("-dict=" + dictionary)
    return words


def environment():
    """Less of what makes the sanitizer slow; nothing from outside."""
    return dict(os.environ, ASAN_OPTIONS="malloc_context_size=3:"
                "quarantine_size_mb=16:detect_leaks=1",
                UBSAN_OPTIONS="print_stacktrace=1")


def number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def tally(name, executions, seconds):
    """Add them to those of earlier runs; all of them."""
    path = os.path.join(BUILD, "tally")
    known = {}
    if os.path.exists(path):
        with open(path, encoding="ascii") as f:
            known = json.load(f)
    before = known.get(name, [0, 0])
    known[name] = [before[0] + executions, before[1] + seconds]
    with open(path, "w", encoding="ascii") as f:
        json.dump(known, f, indent=1, sort_keys=True)
    return known[name]


def run_one(name, seconds, found):
    """Its status, what it printed, and the CPU seconds that it took."""
    words = [program(name), "-max_total_time=%d" % seconds,
             "-print_final_stats=1", "-artifact_prefix=%s%s_" % (found, name)]
    if os.environ.get("RUNS"):
        words.append("-runs=" + os.environ["RUNS"])
    with tempfile.TemporaryFile() as out:
        p = subprocess.Popen(words + options(name) + [
            kept(name), corpus(name)], env=environment(), stdout=out,
            stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode("utf-8", "replace")
    return p.returncode, text, usage.ru_utime + usage.ru_stime


def run(seconds, names):
    found = os.path.join(BUILD, "found", "")
    os.makedirs(found, exist_ok=True)
    failed = 0
    for name in targets(names):
        status, text, cpu = run_one(name, int(seconds), found)
        n = number(r"number_of_executed_units: (\d+)", text)
        so_far = tally(name, n, round(cpu))
        # A CPU second's, since others may have the processor, too.
        print("%-14s %9d executions %7d/s  cov %5d  %-6s  so far %10d, "
              "%4d CPU min" % (
                  name, n, n / max(cpu, 0.01), number(r"cov: (\d+)", text),
                  "FAILED" if status else "ok",
                  so_far[0], so_far[1] // 60), flush=True)
        if status:
            failed = 1
            print("\n".join(text.splitlines()[-60:]))
    return failed


def merge(names):
    for name in targets(names):
        with tempfile.TemporaryDirectory() as new:
            subprocess.run(
                [program(name), "-set_cover_merge=1", "-use_counters=0"] +
                options(name) + [new, corpus(name), kept(name)],
                env=environment(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, check=True)
            for path in glob.glob(os.path.join(corpus(name), "[0-9a-f]*")):
                os.unlink(path)
            size = 0
            for path in glob.glob(os.path.join(new, "*")):
                with open(path, "rb") as f:
                    octets = f.read()
                size += len(octets)
                with open(os.path.join(corpus(name), os.path.basename(
                        path)[:12]), "wb") as f:
                    f.write(octets)
            print("%-14s %4d files, %6d octets" % (
                name, len(os.listdir(corpus(name))), size))
    return 0


def profile(name, folder):
    """Run a target's corpora where lines are counted."""
    raw = os.path.join(folder, name + ".raw")
    done = os.path.join(folder, name)
    subprocess.run([program(name, COVERAGE), "-runs=0"] + options(name) +
                   [kept(name), corpus(name)],
                   env=dict(os.environ, LLVM_PROFILE_FILE=raw),
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=True)
    subprocess.run(["llvm-profdata", "merge", "-o", done, raw], check=True)
    return done


def coverage(names):
    """Of each parser's lines, those that its own target runs, and all do."""
    names = targets(names)
    with tempfile.TemporaryDirectory() as folder:
        single = {name: profile(name, folder) for name in names}
        every = os.path.join(folder, "every")
        subprocess.run(["llvm-profdata", "merge", "-o", every] +
                       list(single.values()), check=True)
        together = lines_of(names, every)
        for name in names:
            own = lines_of([name], single[name])
            for path in PARSERS.get(name, []):
                print("%-14s %-30s %4d lines  %5.1f %%, by all %5.1f %%" % (
                    name, path, len(own[path]), percent(own[path]),
                    percent(together[path])), flush=True)
                if os.environ.get("SHOW"):
                    show(path, together[path])
    return 0


def percent(lines):
    return 100 * sum(n > 0 for n in lines.values()) / max(len(lines), 1)


def show(path, lines):
    """Those that none runs."""
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        for number, text in enumerate(f, 1):
            if lines.get(number, 1) == 0:
                print("%8d %s" % (number, text.rstrip()))


def lines_of(names, profdata):
    """Of each file, how often each line in its functions is run."""
    paths = sorted({path for name in names for path in PARSERS.get(name, [])})
    words = []
    for name in names:
        words += ["-object", program(name, COVERAGE)]
    text = subprocess.run(
        ["llvm-cov", "show", "-show-instantiations=false",
         "-path-equivalence=.," + TOP, "-instr-profile", profdata] +
        words[1:] + ["./" + path for path in paths], cwd=TOP,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        check=True).stdout.decode("utf-8", "replace")
    files = {path: {} for path in paths}
    # A file that is included has another name, and the same lines.
    for part in re.split(r"^(?=\S+\.[ch]:$)", text, flags=re.M):
        head = part.split("\n", 1)[0].rstrip(":")
        path = os.path.relpath(os.path.join(TOP, head), TOP)
        if path not in files and len(paths) == 1 and not head.endswith(".c"):
            path = paths[0]  # one file has no such line
        if path in files:
            add_lines(files[path], part, BESIDE.get(path, ()))
    return files


# A value that is named for the compiler's sake, with no code, and what would
# end the program, which a target takes for a fault.
NEVER = re.compile(r"\t+(case \w+:|default:|break;|fatalx?\()")


def add_lines(lines, text, beside):
    """In functions, as style(9) has them, but for those beside."""
    function = None
    body = switch = behind = False
    for line in text.split("\n"):
        m = re.match(r" *(\d+)\|( *[\d.]+[kMGE]?)? *\|(.*)", line)
        if not m:
            continue
        code = m.group(3)
        begin = re.match(r"(\w+)\(", code)
        if begin:
            function = begin.group(1)
        body = body and not code.startswith("}") or code.startswith("{")
        if body and m.group(2) and function not in beside and \
                code.strip() not in ("{", "}"):
            number = int(m.group(1))
            ran = m.group(2).strip() != "0"
            if ran or not (behind or NEVER.match(code)):
                lines[number] = lines.get(number, 0) + ran
        # What stands behind a switch over all values is the compiler's, too.
        behind = switch and code == "\t}"
        switch = code.startswith("\tswitch (") or switch and code != "\t}"


def main():
    words = sys.argv[1:]
    if len(words) >= 2 and words[0] == "run":
        return run(words[1], words[2:])
    if words and words[0] == "merge":
        return merge(words[1:])
    if words and words[0] == "coverage":
        return coverage(words[1:])
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main())
