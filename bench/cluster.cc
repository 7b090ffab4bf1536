#include "cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "signals.h"

namespace ringraft::bench {
namespace {

Error Failed(const std::string& what) { return Error(Errc::kIo, what + ": " + std::strerror(errno)); }

bool IsFree(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in addr{};
  addr.sin_family = AF_INET;
  addr.sin_port = htons(port);
  addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool is_free = bind(fd, reinterpret_cast<sockaddr*>(&addr), sizeof addr) == 0;
  close(fd);
  return is_free;
}

// Below the range that the kernel hands out for outgoing connections: a node that dials a peer before it listens must
// not happen to take the peer's port.
Result<std::vector<Peer>> ChoosePeers(unsigned count) {
  constexpr uint16_t kFirst = 12000;
  constexpr uint16_t kLast = 31999;
  constexpr int kMaxTries = 1000;
  std::random_device random;
  std::uniform_int_distribution<unsigned> port_of(kFirst, kLast - count);
  std::vector<Peer> peers;
  unsigned port = port_of(random);
  for (int tries = 0; peers.size() < count && tries < kMaxTries; ++tries, ++port) {
    if (!IsFree(static_cast<uint16_t>(port))) continue;
    peers.emplace_back(NodeId(peers.size() + 1), Addr(fmt::format("127.0.0.1:{}", port)));
  }
  if (peers.size() == count) return peers;
  return Error(Errc::kIo, fmt::format("no {} free ports between {} and {} on 127.0.0.1", count, kFirst, kLast));
}

std::string LastLineOf(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::string last;
  while (std::getline(in, line)) {
    if (!line.empty()) last = line;
  }
  return last;
}

}  // namespace

Result<std::unique_ptr<ScratchDirectory>> ScratchDirectory::Make(const std::string& parent, bool keep) {
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error)
    return Error(Errc::kIo,
                 fmt::format("--data {}: {}; name a directory that can be written", parent, error.message()));
  std::string path = (std::filesystem::absolute(parent, error) / "ringraft-bench-XXXXXX").lexically_normal().string();
  if (mkdtemp(path.data()) == nullptr) return Failed("--data " + parent + ": making a directory in it");
  return std::unique_ptr<ScratchDirectory>(new ScratchDirectory(std::move(path), keep));
}

ScratchDirectory::~ScratchDirectory() {
  if (keep_) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<Cluster>> Cluster::Start(const LocalOptions& options, const std::string& directory,
                                                const SharedCounters& counters) {
  std::unique_ptr<Cluster> cluster(new Cluster(directory));
  Result<std::vector<Peer>> peers = ChoosePeers(options.nodes);
  if (!peers) return peers.error();
  cluster->peers_ = std::move(peers).assume_value();
  for (unsigned id = 2; id <= options.nodes; ++id) {
    Result<void> spawned = cluster->Spawn(NodeId(id), options, counters);
    if (!spawned) return spawned.error();
  }
  return cluster;
}

Cluster::~Cluster() {
  // The data is thrown away: there is nothing to be saved by a gentle end.
  for (const pid_t pid : pids_) {
    if (pid > 0) kill(pid, SIGKILL);
  }
  for (const pid_t pid : pids_) {
    if (pid > 0) waitpid(pid, nullptr, 0);
  }
}

std::string Cluster::DirectoryOf(NodeId id) const { return fmt::format("{}/node{}", directory_, id.value()); }

pid_t Cluster::PidOf(NodeId id) const { return id.value() == 1 ? 0 : pids_[id.value() - 2]; }

Result<void> Cluster::Spawn(NodeId id, const LocalOptions& options, const SharedCounters& counters) {
  std::vector<std::string> args = {"ringraft-bench", "node",
                                   "--id",           std::to_string(id.value()),
                                   "--data",         DirectoryOf(id),
                                   "--store",        ToString(options.store),
                                   "--counters-fd",  std::to_string(counters.fd()),
                                   "--parent-pid",   std::to_string(getpid())};
  for (const Peer& peer : peers_) {
    args.push_back("--peer");
    args.push_back(fmt::format("{}={}", peer.id.value(), peer.addr.text()));
  }
  for (const auto& [name, value] :
       {std::pair("--payload", options.load.payload), std::pair("--outstanding", options.load.outstanding),
        std::pair("--batch", options.load.batch)}) {
    args.push_back(name);
    args.push_back(std::to_string(value));
  }
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const std::string log = LogOf(id);
  std::error_code ignored;
  const std::string linked = std::filesystem::read_symlink("/proc/self/exe", ignored).string();
  const pid_t parent = getpid();

  const pid_t pid = fork();
  if (pid < 0) return Failed("fork");
  if (pid == 0) {  // only system calls from here to exec
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);  // it died before the line above
    setpgid(0, 0);                      // an interrupt from the keyboard is for the parent, which ends this one
    const int fd = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0644);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) _exit(1);
    Signals::Unblock();
    execv(linked.c_str(), argv.data());  // by its name, so that tools show it
    execv("/proc/self/exe", argv.data());
    _exit(1);
  }
  pids_.push_back(pid);
  return Success();
}

Result<void> Cluster::Check() {
  for (size_t i = 0; i < pids_.size(); ++i) {
    int status = 0;
    if (pids_[i] == 0 || waitpid(pids_[i], &status, WNOHANG) != pids_[i]) continue;
    pids_[i] = 0;
    const NodeId id(i + 2);
    const std::string how = WIFSIGNALED(status) ? fmt::format("was killed by signal {}", WTERMSIG(status))
                                                : fmt::format("ended with status {}", WEXITSTATUS(status));
    return Error(Errc::kIo, fmt::format("node {} {}; its last line was: {}", id.value(), how, LastLineOf(LogOf(id))));
  }
  return Success();
}

}  // namespace ringraft::bench
