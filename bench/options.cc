#include "options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "counters.h"

namespace ringraft::bench {
namespace {

constexpr size_t kMaxPayload = size_t{64} << 20;
constexpr size_t kMaxOutstanding = size_t{1} << 20;
constexpr size_t kMaxBatch = size_t{1} << 20;
constexpr unsigned kMaxThreads = 64;
constexpr double kMaxSeconds = 86400;

template <class T>
Error OutOfRange(const char* name, T value, T least, T most) {
  return Error(Errc::kInvalidArgument, fmt::format("--{} is {}; use {} to {}", name, value, least, most));
}

void AddLoad(CLI::App& app, LoadSpec& load) {
  app.add_option("--payload", load.payload, "Bytes of one command")->capture_default_str();
  app.add_option("--outstanding", load.outstanding, "Calls in flight")->capture_default_str();
  app.add_option("--batch", load.batch, "Commands of one call")->capture_default_str();
  app.add_option("--threads", load.threads, "Threads that the clients run on; 0: the reactor itself")
      ->capture_default_str();
  app.add_option("--seconds", load.seconds, "Measured time")->capture_default_str();
  app.add_option("--warmup", load.warmup, "Time under load before")->capture_default_str();
}

void AddLocal(CLI::App& app, LocalOptions& local, std::string& store) {
  app.add_option("--nodes", local.nodes, fmt::format("Processes of the cluster, 1 to {}", kMaxNodes))
      ->capture_default_str();
  AddLoad(app, local.load);
  app.add_option("--data", local.parent_dir, "Where the nodes' directories are made; removed at the end")
      ->capture_default_str();
  app.add_option("--store", store, "lmdb or memory")->capture_default_str();
  app.add_flag("--keep", local.keep, "Do not remove the nodes' directories");
  app.add_flag("--allow-tmpfs", local.allow_tmpfs, "Measure on tmpfs, where a flush does nothing");
  app.add_flag("--json", local.json, "Print one line of JSON instead of the table");
}

void AddNode(CLI::App& app, NodeOptions& node, std::string& store) {
  app.add_option("--id", node.id, "This node")->required();
  app.add_option("--peer", node.peers, "ID=HOST:PORT of each node, this one included; the same list on every node")
      ->required();
  app.add_option("--data", node.data_dir, "Directory of this node")->required();
  app.add_option("--store", store, "lmdb or memory")->capture_default_str();
  app.add_flag("--lead", node.lead, "Campaign before the nodes without it");
  app.add_option("--control", node.control,
                 "HOST:PORT that `ringraft-bench load` talks to (no password: test networks only)");
  app.add_option("--payload", node.largest.payload, "Raise the limits for loads up to this")->capture_default_str();
  app.add_option("--outstanding", node.largest.outstanding, "Raise the limits for loads up to this")
      ->capture_default_str();
  app.add_option("--batch", node.largest.batch, "Raise the limits for loads up to this")->capture_default_str();
  app.add_option("--counters-fd", node.counters_fd)->group("");
  app.add_option("--parent-pid", node.parent_pid)->group("");
}

Result<void> Check(CommandLine& line, const std::string& local_store, const std::string& node_store) {
  Result<StoreKind> local = ParseStore(local_store);
  if (!local) return local.error();
  line.local.store = local.value();
  Result<StoreKind> node = ParseStore(node_store);
  if (!node) return node.error();
  line.node.store = node.value();
  switch (line.subcommand) {
    case Subcommand::kLocal:
      if (line.local.nodes < 1 || line.local.nodes > kMaxNodes) {
        return OutOfRange<size_t>("nodes", line.local.nodes, 1, kMaxNodes);
      }
      return line.local.load.Validate();
    case Subcommand::kNode:
      if (line.node.id < 1) return Error(Errc::kInvalidArgument, "--id is 0; use a number from 1 on");
      return line.node.largest.Validate();
    case Subcommand::kLoad:
      return line.load.load.Validate();
    case Subcommand::kNone:
      break;
  }
  return Success();
}

}  // namespace

const char* ToString(StoreKind kind) { return kind == StoreKind::kLmdb ? "lmdb" : "memory"; }

Result<StoreKind> ParseStore(const std::string& text) {
  if (text == "lmdb") return StoreKind::kLmdb;
  if (text == "memory") return StoreKind::kMemory;
  return Error(Errc::kInvalidArgument, fmt::format("--store is '{}'; use lmdb or memory", text));
}

Result<void> LoadSpec::Validate() const {
  if (payload < 8 || payload > kMaxPayload) return OutOfRange<size_t>("payload", payload, 8, kMaxPayload);
  if (outstanding < 1 || outstanding > kMaxOutstanding) {
    return OutOfRange<size_t>("outstanding", outstanding, 1, kMaxOutstanding);
  }
  if (batch < 1 || batch > kMaxBatch) return OutOfRange<size_t>("batch", batch, 1, kMaxBatch);
  if (threads > kMaxThreads) return OutOfRange<unsigned>("threads", threads, 0, kMaxThreads);
  if (!(seconds > 0 && seconds <= kMaxSeconds)) return OutOfRange<double>("seconds", seconds, 0.1, kMaxSeconds);
  if (!(warmup >= 0 && warmup <= kMaxSeconds)) return OutOfRange<double>("warmup", warmup, 0, kMaxSeconds);
  constexpr size_t kMaxCallBytes = size_t{256} << 20;
  if (payload * batch > kMaxCallBytes) {
    return Error(Errc::kInvalidArgument,
                 fmt::format("--payload {} times --batch {} is {} bytes a call; a call may have {}", payload, batch,
                             payload * batch, kMaxCallBytes));
  }
  return Success();
}

Limits LoadSpec::LimitsForIt() const {
  constexpr size_t kOverhead = 64;  // more than any entry or call has beside its commands
  Limits limits;
  const size_t call_bytes = batch * (payload + kOverhead);
  limits.max_command_bytes = std::max(limits.max_command_bytes, payload);
  limits.max_call_bytes = std::max({limits.max_call_bytes, call_bytes, limits.max_command_bytes});
  limits.max_call_commands = std::max(limits.max_call_commands, batch);
  limits.max_waiting_bytes = std::max(limits.max_waiting_bytes, outstanding * call_bytes + limits.max_call_bytes);
  limits.max_unapplied_bytes = std::max(limits.max_unapplied_bytes, outstanding * call_bytes + limits.max_call_bytes);
  return limits;
}

CommandLine ParseCommandLine(int argc, char** argv) {
  CommandLine line;
  std::string local_store = "lmdb";
  std::string node_store = "lmdb";
  CLI::App app(
      "Measures durable commands a second: every command is appended, replicated, flushed on a majority and applied\n"
      "before it counts. Exits with 1 if any command failed.");
  app.require_subcommand(1);
  CLI::App* local = app.add_subcommand("local", "A whole cluster on this machine, one process a node, under load");
  AddLocal(*local, line.local, local_store);
  CLI::App* node = app.add_subcommand("node", "One node of a cluster over several machines");
  AddNode(*node, line.node, node_store);
  CLI::App* load = app.add_subcommand("load", "Puts the cluster of such nodes under load, and reports");
  load->add_option("--control", line.load.controls, "HOST:PORT of each node's --control")->required();
  AddLoad(*load, line.load.load);
  load->add_flag("--json", line.load.json, "Print one line of JSON instead of the table");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    line.exit_code = app.exit(error) == 0 ? 0 : 2;
    return line;
  }
  line.subcommand = local->parsed() ? Subcommand::kLocal : node->parsed() ? Subcommand::kNode : Subcommand::kLoad;
  if (Result<void> checked = Check(line, local_store, node_store); !checked) {
    fmt::print(stderr, "ringraft-bench: {}\n", checked.error().message());
    line.subcommand = Subcommand::kNone;
    line.exit_code = 2;
  }
  return line;
}

}  // namespace ringraft::bench
