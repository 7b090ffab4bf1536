#include "kv/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "kv/resp.h"

namespace ringraft::kv {
namespace {

constexpr int64_t kMaxDeadlineMs = 600'000;

// The arguments as they stand on the command line.
struct Arguments {
  std::string id;
  std::string data;
  std::vector<std::string> peers;
  std::string addr;
  std::string listen;
  bool bootstrap = false;
  bool join = false;
  bool witness = false;
  std::string cluster;
  std::string election_timeout = "300-500";
  int64_t heartbeat_ms = 50;
  int64_t deadline_ms = 5000;
  uint64_t max_bytes = uint64_t{64} << 30;
  int priority = 0;
  int64_t disk_stall_limit_ms = 0;
  std::string log_level = "info";
};

void Describe(CLI::App& app, Arguments& arguments) {
  app.footer(
      "A fixed cluster:   ringraft-kv --id 1 --data DIR --listen 127.0.0.1:6401 --peer 1=127.0.0.1:7101 \\\n"
      "                       --peer 2=127.0.0.1:7102 --peer 3=127.0.0.1:7103       (the same list on every node)\n"
      "A growing cluster: ringraft-kv --id 1 --data DIR --listen 127.0.0.1:6401 --addr 127.0.0.1:7101 --bootstrap\n"
      "                   ringraft-kv --id 2 --data DIR2 --listen 127.0.0.1:6402 --addr 127.0.0.1:7102 --join\n"
      "                   redis-cli -p 6401 RAFT ADD 2 127.0.0.1:7102\n"
      "A node that has a log needs neither --peer nor --bootstrap nor --join, and ignores the latter two.");
  app.set_version_flag("--version", fmt::format("ringraft-kv {} (protocol {})", RINGRAFT_VERSION, kProtocolVersion));
  app.add_option("--id", arguments.id, "This node's number in the cluster, at least 1")->required();
  app.add_option("--data", arguments.data, "Data directory; created if missing (its parent must exist)")->required();
  app.add_option("--listen", arguments.listen, "HOST:PORT for Redis clients")->required();
  app.add_option("--peer", arguments.peers, "ID=HOST:PORT of a member, once for each, this node included")->take_all();
  app.add_option("--addr", arguments.addr, "HOST:PORT where the other nodes reach this one; not needed with --peer");
  app.add_flag("--bootstrap", arguments.bootstrap, "Start a new cluster of this node alone, if the log is empty");
  app.add_flag("--witness", arguments.witness,
               "Join as a witness, which votes but stores no commands; permanent (RAFT ADD ... WITNESS)");
  app.add_flag("--join", arguments.join, "Wait until a leader adds this node by RAFT ADD, if the log is empty");
  app.add_option("--cluster", arguments.cluster,
                 "The cluster's name; nodes of another are refused. Not with --bootstrap, which draws a random id");
  app.add_option("--deadline-ms", arguments.deadline_ms, "Time limit of a command in ms, waiting for a leader included")
      ->capture_default_str();
  app.add_option("--election-timeout", arguments.election_timeout, "MIN-MAX in ms")->capture_default_str();
  app.add_option("--heartbeat", arguments.heartbeat_ms, "Interval in ms, at most half of MIN")->capture_default_str();
  app.add_option("--priority", arguments.priority, "0 .. 255; a leader transfers leadership to a node of a higher one")
      ->capture_default_str();
  app.add_option("--disk-stall-limit", arguments.disk_stall_limit_ms,
                 "Treat the disk as stalled when a write takes longer than this many ms (0: the longest election "
                 "timeout); a node with a stalled disk does not lead if another can")
      ->capture_default_str();
  app.add_option("--max-bytes", arguments.max_bytes, "Upper bound of the database file (64GB by default)")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--log-level", arguments.log_level, "debug, info, warning or error")->capture_default_str();
}

Error Wrong(std::string text) { return Error(Errc::kInvalidArgument, text); }

Result<void> ReadMembers(const Arguments& arguments, Options& options) {
  for (const std::string& text : arguments.peers) {
    auto peer = ParsePeer(text);
    if (!peer) return Wrong(fmt::format("--peer: {}", peer.error().message()));
    const auto same = std::find_if(options.initial_members.begin(), options.initial_members.end(),
                                   [&](const Peer& other) { return other.id == peer.value().id; });
    if (same != options.initial_members.end()) {
      return Wrong(fmt::format("--peer names the ID {} twice, at {} and at {}: IDs are unique", same->id.value(),
                               same->addr.text(), peer.value().addr.text()));
    }
    options.initial_members.push_back(std::move(peer).value());
  }
  if (arguments.join && (arguments.bootstrap || !options.initial_members.empty())) {
    return Wrong(fmt::format("--join and {} cannot be combined: a joining node does not start a cluster; drop one",
                             arguments.bootstrap ? "--bootstrap" : "--peer"));
  }
  if (arguments.bootstrap && !arguments.cluster.empty()) {
    return Wrong(fmt::format("--bootstrap and --cluster {} cannot be combined: --bootstrap draws a random cluster ID, "
                             "which the other nodes learn; drop --cluster on every node",
                             arguments.cluster));
  }
  if (options.initial_members.empty()) {
    if (arguments.addr.empty()) {
      return Wrong("neither --peer nor --addr says where the other nodes reach this one: give --addr HOST:PORT");
    }
    options.addr = Addr(arguments.addr);
    return Success();
  }
  if (arguments.bootstrap) {
    return Wrong(
        "--bootstrap and --peer cannot be combined: a cluster starts with one node or with a fixed list; drop one");
  }
  const auto self = std::find_if(options.initial_members.begin(), options.initial_members.end(),
                                 [&](const Peer& peer) { return peer.id == options.id; });
  if (self == options.initial_members.end()) {
    return Wrong(
        fmt::format("--id {0} is missing from the --peer list: add --peer {0}=HOST:PORT", options.id.value()));
  }
  if (!arguments.addr.empty() && arguments.addr != self->addr.text()) {
    return Wrong(fmt::format("--addr {} differs from --peer {}={}: drop --addr", arguments.addr,
                             options.id.value(), self->addr.text()));
  }
  options.addr = self->addr;
  return Success();
}

Result<void> ReadTimes(const Arguments& arguments, KvOptions& options) {
  const std::string_view text = arguments.election_timeout;
  const size_t dash = text.find('-');
  const auto min = ParseInteger(text.substr(0, dash));
  const auto max = dash == text.npos ? std::nullopt : ParseInteger(text.substr(dash + 1));
  if (!min || !max) {
    return Wrong(fmt::format("invalid --election-timeout '{}': expected MIN-MAX in ms, such as 300-500", text));
  }
  options.raft.election_timeout_min = std::chrono::milliseconds(std::clamp<int64_t>(*min, 0, 1'000'000'000));
  options.raft.election_timeout_max = std::chrono::milliseconds(std::clamp<int64_t>(*max, 0, 1'000'000'000));
  options.raft.heartbeat_interval =
      std::chrono::milliseconds(std::clamp<int64_t>(arguments.heartbeat_ms, 0, 1'000'000'000));
  if (arguments.deadline_ms < 1 || arguments.deadline_ms > kMaxDeadlineMs) {
    return Wrong(fmt::format("invalid --deadline-ms {}: expected 1 to {}", arguments.deadline_ms, kMaxDeadlineMs));
  }
  options.deadline = std::chrono::milliseconds(arguments.deadline_ms);
  return Success();
}

Result<void> ReadLogLevel(const Arguments& arguments, KvOptions& options) {
  constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
  const auto found = std::find(std::begin(kNames), std::end(kNames), arguments.log_level);
  if (found == std::end(kNames)) {
    return Wrong(fmt::format("invalid --log-level '{}': expected debug, info, warning or error", arguments.log_level));
  }
  options.log_level = static_cast<LogLevel>(found - std::begin(kNames));
  options.raft.logger = &StderrLogger(options.log_level);
  return Success();
}

Result<void> Convert(const Arguments& arguments, KvOptions& options) {
  // CLI11 would take -1 for a large number, and 010 for 8.
  const auto id = ParseInteger(arguments.id);
  if (!id || *id < 1)
    return Wrong(fmt::format("invalid --id '{}': expected a decimal number from 1 to {}", arguments.id, INT64_MAX));
  if (arguments.data.empty()) return Wrong("--data is empty: name a directory");
  options.raft.id = NodeId(static_cast<uint64_t>(*id));
  options.raft.data_dir = arguments.data;
  options.raft.cluster_name = arguments.cluster;
  options.raft.bootstrap_as_leader = arguments.bootstrap;
  options.joins = arguments.join;
  options.raft.is_witness = arguments.witness;
  if (arguments.priority < 0 || arguments.priority > UINT8_MAX)
    return Wrong(fmt::format("invalid --priority {}: expected 0 to 255", arguments.priority));
  options.raft.disk_stall_limit =
      std::chrono::milliseconds(std::clamp<int64_t>(arguments.disk_stall_limit_ms, -1, 1'000'000'000));
  options.raft.election_priority = static_cast<uint8_t>(arguments.priority);
  options.raft.lmdb.max_bytes = arguments.max_bytes;
  if (auto ok = ReadMembers(arguments, options.raft); !ok) return ok;
  auto listen = ParseAddr(arguments.listen);
  if (!listen) return Wrong(fmt::format("--listen: {}", listen.error().message()));
  options.listen = listen.value();
  if (options.listen == options.raft.addr) {
    return Wrong(
        fmt::format("--listen {} is also the peer address: give clients a different port", options.listen.text()));
  }
  if (auto ok = ReadTimes(arguments, options); !ok) return ok;
  if (auto ok = ReadLogLevel(arguments, options); !ok) return ok;
  return options.raft.Validate();
}

int Fail(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  fmt::print(stderr, "ringraft-kv: {} (see ringraft-kv --help)\n", text);
  return kExitUsage;
}

}  // namespace

std::optional<int> ParseCommandLine(int argc, const char* const* argv, KvOptions& options) {
  Arguments arguments;
  CLI::App app("A replicated key-value server that speaks the Redis protocol.", "ringraft-kv");
  Describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    return Fail(error.what());
  }
  if (auto ok = Convert(arguments, options); !ok) return Fail(ok.error().message());
  return std::nullopt;
}

}  // namespace ringraft::kv
