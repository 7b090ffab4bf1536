// The commands that a node answers by itself, and its reports.
#include "kv/session.h"

#include <doctest/doctest.h>

#include <string>

#include "kv/request_parser.h"

namespace ringraft::kv {
namespace {

RaftStatus LeaderStatus() {
  RaftStatus status;
  status.id = NodeId(1);
  status.role = Role::kLeader;
  status.term = Term(3);
  status.leader = Peer(NodeId(1), Addr("127.0.0.1:7101"));
  status.last_index = Index(12);
  status.durable_index = Index(11);
  status.commit_index = Index(10);
  status.applied_index = Index(9);
  PeerStatus self;
  self.peer = *status.leader;
  self.is_self = true;
  PeerStatus other;
  other.peer = Peer(NodeId(2), Addr("[::1]:7102"));
  other.match_index = Index(8);
  other.lag_entries = 4;
  other.is_reachable = true;
  status.peers = {self, other};
  return status;
}

struct Fixture {
  Fixture() {
    facts.status = [this] { return status; };
    facts.key_count = [] { return size_t{5}; };
    facts.port = 6401;
    facts.max_command_bytes = 1048576;
    facts.data_dir = "/data";
  }

  std::string Run(std::string_view line) {
    Request request;
    REQUIRE(SplitInline(line, request));
    const CommandSpec* spec = FindCommand(request.args()[0]);
    REQUIRE(spec != nullptr);
    REQUIRE(HasArity(spec->arity, request.args().size()));
    std::string reply;
    session.Execute(*spec, request.args(), reply);
    return reply;
  }

  RaftStatus status = LeaderStatus();
  ServerFacts facts;
  Session session{facts, "127.0.0.1:5555"};
};

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

TEST_SUITE("kv: sessions") {
  TEST_CASE_FIXTURE(Fixture, "the commands of a connection answer as Redis does") {
    const std::pair<const char*, const char*> cases[] = {
        {"ping", "+PONG\r\n"},
        {"ping \"a b\"", "$3\r\na b\r\n"},
        {"ping a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
        {"echo hi", "$2\r\nhi\r\n"},
        {"select 0", "+OK\r\n"},
        {"select 1", "-ERR DB index is out of range\r\n"},
        {"select x", "-ERR value is not an integer or out of range\r\n"},
        {"client getname", "$-1\r\n"},
        {"client setname me", "+OK\r\n"},
        {"client getname", "$2\r\nme\r\n"},
        {"client setname \"a b\"", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"client setname", "-ERR wrong number of arguments for 'client|setname' command\r\n"},
        {"client foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n"},
        {"client id", ":1\r\n"},
        {"client setinfo lib-name x", "+OK\r\n"},
        {"client setinfo lib-foo x", "-ERR Unrecognized option 'lib-foo'\r\n"},
        {"client no-evict on", "+OK\r\n"},
        {"client no-evict maybe", "-ERR syntax error\r\n"},
        {"client reply off", "-ERR CLIENT REPLY supports only ON: every command gets a reply\r\n"},
        {"config get save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
        {"config get nothing", "*0\r\n"},
        {"config get p?rt databases", "*4\r\n$9\r\ndatabases\r\n$1\r\n1\r\n$4\r\nport\r\n$4\r\n6401\r\n"},
        {"config get", "-ERR wrong number of arguments for 'config|get' command\r\n"},
        {"config set save x", "-ERR CONFIG SET is not supported: options are given on the command line\r\n"},
        {"config foo", "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n"},
        {"auth x",
         "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
         "configuration "
         "is correct?\r\n"},
        {"auth a b", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"auth a b c", "-ERR syntax error\r\n"},
        {"hello 4", "-NOPROTO unsupported protocol version\r\n"},
        {"hello x", "-ERR Protocol version is not an integer or out of range\r\n"},
        {"hello 3 foo", "-ERR Syntax error in HELLO option 'foo'\r\n"},
        {"hello 3 auth a b", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"client getname", "$2\r\nme\r\n"},
        {"reset", "+RESET\r\n"},
        {"client getname", "$-1\r\n"},
        {"command count", ":31\r\n"},
        {"command docs", "*0\r\n"},
        {"command docs get", "*0\r\n"},
        {"command foo", "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n"},
        {"command info get nope",
         "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@string\r\n*0\r\n*0\r\n*0\r\n$-"
         "1\r\n"},
        {"raft foo", "-ERR unknown subcommand 'foo'. Try RAFT HELP.\r\n"},
        {"raft add 1", "-ERR wrong number of arguments for 'raft|add' command\r\n"},
        {"raft readmit", "-ERR wrong number of arguments for 'raft|readmit' command\r\n"},
    };
    for (const auto& [command, reply] : cases) {
      CAPTURE(command);
      CHECK(Run(command) == reply);
    }
    CHECK_FALSE(session.is_closing());
    CHECK(Run("quit") == "+OK\r\n");
    CHECK(session.is_closing());
  }

  TEST_CASE_FIXTURE(Fixture, "HELLO 3 changes the protocol, HELLO 2 and RESET change it back") {
    CHECK(
        Run("hello 3 setname me") ==
        "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n"
        "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n");
    CHECK(Run("client getname") == "$2\r\nme\r\n");
    CHECK(session.protocol() == Protocol::kResp3);
    CHECK(Run("config get save") == "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
    CHECK(Run("command docs") == "%0\r\n");
    CHECK(Run("info keyspace") == "=56\r\ntxt:# Keyspace\r\nkeys:5\r\ndb0:keys=5,expires=0,avg_ttl=0\r\n\r\n");
    CHECK(Run("hello 2").starts_with("*14\r\n"));
    CHECK(session.protocol() == Protocol::kResp2);
    Run("hello 3");
    Run("reset");
    CHECK(session.protocol() == Protocol::kResp2);
  }

  TEST_CASE_FIXTURE(Fixture, "INFO tells role, term, indexes and each peer's lag") {
    const std::string info = Run("info");
    for (const char* line :
         {"\r\nredis_version:7.0.15\r\n", "\r\nrole:leader\r\n", "\r\nterm:3\r\n", "\r\nleader:1\r\n",
          "\r\nlast_index:12\r\n", "\r\ndurable_index:11\r\n", "\r\ncommit_index:10\r\n", "\r\napplied_index:9\r\n",
          "\r\nconnected_clients:1\r\n", "\r\nkeys:5\r\n",
          "\r\npeer2:addr=[::1]:7102,kind=voter,voter=1,match=8,lag=4,lag_bytes=0,lag_us=0,inflight=0,contact_us=0,"
          "reachable=1,needs_readmission=0\r\n"}) {
      CAPTURE(line);
      CHECK(Contains(info, line));
    }
    CHECK_FALSE(Contains(info, "peer1:"));
    CHECK(Contains(Run("info replication"), "# Raft"));
    CHECK_FALSE(Contains(Run("info raft"), "# Server"));
    status.role = Role::kPreCandidate;
    status.leader.reset();
    const std::string candidate = Run("info raft");
    CHECK(Contains(candidate, "\r\nrole:candidate\r\n"));
    CHECK(Contains(candidate, "\r\nleader:0\r\n"));
    CHECK(Contains(candidate, "\r\npeer2:addr=[::1]:7102,kind=voter,voter=1\r\n"));
  }

  TEST_CASE_FIXTURE(Fixture, "INFO and RAFT STATUS tell a witness, and who has to be readmitted") {
    status.peers[1].kind = MemberKind::kWitness;
    status.peers[1].needs_readmission = true;
    const std::string info = Run("info raft");
    CHECK(Contains(info, ",kind=witness,voter=1,"));
    CHECK(Contains(info, ",needs_readmission=1\r\n"));
    CHECK(Contains(info, "\r\nmembers:2\r\n"));
    Run("hello 3");
    const std::string raft = Run("raft status");
    CHECK(Contains(raft, "$4\r\nkind\r\n$7\r\nwitness\r\n"));
    CHECK(Contains(raft, "%11\r\n"));
    CHECK(Contains(raft, "$17\r\nneeds_readmission\r\n:1\r\n"));
  }

  TEST_CASE_FIXTURE(Fixture, "ROLE has Redis's form") {
    CHECK(Run("role") == "*3\r\n$6\r\nmaster\r\n:10\r\n*1\r\n*3\r\n$3\r\n::1\r\n$4\r\n7102\r\n$1\r\n8\r\n");
    status.role = Role::kFollower;
    status.leader = Peer(NodeId(2), Addr("127.0.0.1:7102"));
    CHECK(Run("role") == "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:7102\r\n$9\r\nconnected\r\n:9\r\n");
    status.leader.reset();
    CHECK(Run("role") == "*5\r\n$5\r\nslave\r\n$0\r\n\r\n:0\r\n$7\r\nconnect\r\n:9\r\n");
  }

  TEST_CASE_FIXTURE(Fixture, "CLIENT LIST shows every session until it ends") {
    {
      Session other(facts, "10.0.0.1:1");
      const std::string list = Run("client list");
      CHECK(Contains(list, "id=1 addr=127.0.0.1:5555 "));
      CHECK(Contains(list, "id=2 addr=10.0.0.1:1 "));
    }
    CHECK_FALSE(Contains(Run("client list"), "id=2 "));
  }

  TEST_CASE("a failed call is told by its kind") {
    const auto deadline = std::chrono::milliseconds(5000);
    CHECK(ErrorText(Error(Errc::kNoLeader), deadline) ==
          "CLUSTERDOWN no leader within 5000 ms: a majority of the members must run and reach one another");
    CHECK(ErrorText(Error::NotLeader(Peer(NodeId(2), Addr("127.0.0.1:7102"))), deadline) ==
          "NOTLEADER node 2 with the peer address 127.0.0.1:7102 is the leader: send this command to its client port, "
          "or use the tool 'ringraft', which finds it");
    CHECK(ErrorText(Error::NotLeader(std::nullopt), deadline).starts_with("NOTLEADER "));
    CHECK(ErrorText(Error(Errc::kUnknown), deadline)
              .starts_with("UNKNOWN the command may have been applied, or may be applied later"));
    CHECK(ErrorText(Error(Errc::kBusy, "full"), deadline) == "BUSY full");
    CHECK(ErrorText(Error(Errc::kTooLarge, "too long"), deadline) == "ERR too long");
    CHECK(ErrorText(Error(Errc::kStopped), deadline) == "ERR this server is stopping: use another one");
  }
}

}  // namespace
}  // namespace ringraft::kv
