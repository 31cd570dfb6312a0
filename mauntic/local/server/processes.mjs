// The processes that the server started, for the memory report and for ending them.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** [{pid, rssBytes}] of workerd. */
export function runtimeProcesses() {
  return process.platform === "linux" ? fromProc() : fromPs();
}

function fromProc() {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8");
  return children.trim().split(" ").filter(Boolean).map(Number).flatMap(describe);
}

function describe(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    if (!/^Name:\s*workerd/m.test(status)) return [];
    const kilobytes = (name) => Number(status.match(new RegExp(`^${name}:\\s*(\\d+)`, "m"))?.[1] ?? 0);
    return [{ pid, rssBytes: kilobytes("VmRSS") * 1024, peakRssBytes: kilobytes("VmHWM") * 1024 }];
  } catch {
    return []; // it has ended in the meantime
  }
}

function fromPs() {
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,rss=,comm="], { encoding: "utf8" });
  return lines.split("\n").flatMap((line) => {
    const [pid, parent, rss, command] = line.trim().split(/\s+/);
    if (Number(parent) !== process.pid || !command?.endsWith("workerd")) return [];
    return [{ pid: Number(pid), rssBytes: Number(rss) * 1024, peakRssBytes: null }];
  });
}

/** Ends these processes when this one is gone, even after SIGKILL, because then the watchdog's input ends. It has its
 * own process group, so Ctrl-C does not end the watchdog first. */
export function watchOver(pids) {
  const script = 'cat > /dev/null; kill -9 "$@" 2> /dev/null';
  const stdio = ["pipe", "ignore", "ignore"];
  return spawn("sh", ["-c", script, "watchdog", ...pids.map(String)], { stdio, detached: true });
}
