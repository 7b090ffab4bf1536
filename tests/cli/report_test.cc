// What nodes have told, as tables and as JSON; and what is wrong with a cluster.
#include "cli/report.h"

#include <doctest/doctest.h>

#include "cli/table.h"
#include "fake_network.h"

namespace ringraft::cli {
namespace {

TEST_SUITE_BEGIN("cli report");

PeerStatus Member(uint64_t id, MemberKind kind, uint64_t match, bool is_reachable) {
  PeerStatus member;
  member.peer = PeerOf(id);
  member.kind = kind;
  member.match_index = Index(match);
  member.lag_entries = 1200 - match;
  member.lag_bytes = 100 * member.lag_entries;
  member.lag_time = static_cast<int64_t>(member.lag_entries) * std::chrono::microseconds(1500);
  member.last_contact = std::chrono::microseconds(static_cast<int64_t>(id) * 1250);
  member.is_reachable = is_reachable;
  return member;
}

Answered Leader() {
  Answered answered;
  answered.addr = Addr("a:1");
  answered.status = StatusOf(1, Role::kLeader, PeerOf(1));
  answered.status.identity = Identity{ClusterId{1, 2}, NodeId(1), 99, 3};
  answered.status.identity.generation.counter = 2;
  answered.status.group = GroupId(1);
  RaftStatus& raft = answered.status.raft;
  raft.term = Term(7);
  raft.last_index = Index(1200);
  raft.durable_index = Index(1199);
  raft.commit_index = Index(1198);
  raft.applied_index = Index(1197);
  raft.configuration_index = Index(5);
  raft.waiting_calls = 2;
  raft.waiting_bytes = 300;
  raft.disk_latency = std::chrono::microseconds(730);
  raft.peers = {Member(1, MemberKind::kVoter, 1200, true), Member(2, MemberKind::kLearner, 1190, true),
                Member(3, MemberKind::kVoter, 40, false)};
  raft.peers[0].is_self = true;
  raft.peers[1].is_catching_up = true;
  raft.peers[1].data = "zone \"b\"";
  raft.peers[2].inflight_bytes = 4096;
  return answered;
}

Answered Follower() {
  Answered answered = Leader();
  answered.status.raft.role = Role::kFollower;
  answered.status.raft.leader = std::nullopt;
  answered.status.raft.is_joint = true;
  answered.status.raft.is_disk_stalled = true;
  return answered;
}

TEST_CASE("a table has columns as wide as what is in them, and no blanks at the ends of its lines") {
  Table table({{"id", Align::kRight}, {"name", Align::kLeft}, {"n", Align::kRight}, {"last", Align::kLeft}});
  table.Add({"1", "\xc3\xa4\xc3\xb6", "1000", ""});
  table.Add({"123", "x", "1", "y"});
  CHECK(table.Text() ==
        " id  name     n  last\n"
        "  1  \xc3\xa4\xc3\xb6    1000\n"
        "123  x        1  y\n");
}

TEST_CASE("a leader's status tells everything") {
  CHECK(StatusText(Leader()) ==
        "node           1 at a:1, start 3\n"
        "cluster        00000000000000010000000000000002, group 1, generation 2\n"
        "role           leader in term 7\n"
        "leader         node 1 at a:1\n"
        "log            last 1200, durable 1199, committed 1198, applied 1197\n"
        "configuration  index 5\n"
        "waiting        2 calls, 300 bytes\n"
        "disk           the last write took 0.7 ms\n"
        "\n"
        "id  kind                  address  match   lag  lag bytes  lag ms  in flight  contact ms  reachable  data\n"
        " 1  voter                 a:1       1200     0          0     0.0          0           -  yes\n"
        " 2  learner, catching up  b:2       1190    10       1000    15.0          0         2.5  yes        zone "
        "\"b\"\n"
        " 3  voter                 c:3         40  1160     116000  1740.0       4096         3.8  no\n");
}

TEST_CASE("a follower's status says what it does not know") {
  const std::string text = StatusText(Follower());
  CHECK(text.find("role           follower in term 7\n") != std::string::npos);
  CHECK(text.find("leader         none is known\n") != std::string::npos);
  CHECK(text.find("configuration  index 5, a change is under way\n") != std::string::npos);
  CHECK(text.find(" 3  voter                 c:3          -    -          -       -          -           -  -\n") !=
        std::string::npos);
  CHECK(text.find("disk           stalled, the last write took 0.7 ms\n") != std::string::npos);
  CHECK(text.find("Only the leader knows") != std::string::npos);
  Answered old = Follower();
  old.status.identity.generation.counter = 0;
  CHECK(StatusText(old).find(", group 1, generation not known\n") != std::string::npos);
}

TEST_CASE("a follower tells when it has heard of its leader last") {
  Answered follower = Follower();
  follower.status.raft.leader = PeerOf(3);
  CHECK(StatusText(follower).find(
            " 3  voter                 c:3          -    -          -       -          -         3.8  "
            "-\n") != std::string::npos);
  const std::string json = MembersJson(follower);
  CHECK(json.find(R"("last_contact_us":3750)") != std::string::npos);
  CHECK(json.find(R"("last_contact_us":2500)") == std::string::npos);
}

TEST_CASE("JSON has every field, numbers as numbers, and null for what is not known") {
  CHECK(
      StatusJson(Leader()) ==
      R"({"asked":"a:1","id":1,"cluster":"00000000000000010000000000000002","group":1,"generation":2,"incarnation":99,)"
      R"("start_count":3,"role":"leader","term":7,"leader":{"id":1,"addr":"a:1"},"last_index":1200,)"
      R"("durable_index":1199,"commit_index":1198,"applied_index":1197,"configuration_index":5,"is_joint":false,)"
      R"("waiting_calls":2,"waiting_bytes":300,"is_disk_stalled":false,"disk_latency_us":730,"members":[)"
      R"({"id":1,"addr":"a:1","kind":"voter","is_self":true,"is_catching_up":false,)"
      R"("incarnation":0,"needs_readmission":false,"data":"","match_index":1200,)"
      R"("lag_entries":0,"lag_bytes":0,"lag_us":0,"inflight_bytes":0,"last_contact_us":null,"is_reachable":true},)"
      R"({"id":2,"addr":"b:2","kind":"learner","is_self":false,"is_catching_up":true,)"
      R"("incarnation":0,"needs_readmission":false,"data":"zone \"b\"",)"
      R"("match_index":1190,"lag_entries":10,"lag_bytes":1000,"lag_us":15000,"inflight_bytes":0,)"
      R"("last_contact_us":2500,"is_reachable":true},)"
      R"({"id":3,"addr":"c:3","kind":"voter","is_self":false,"is_catching_up":false,)"
      R"("incarnation":0,"needs_readmission":false,"data":"","match_index":40,)"
      R"("lag_entries":1160,"lag_bytes":116000,"lag_us":1740000,"inflight_bytes":4096,)"
      R"("last_contact_us":3750,"is_reachable":false}]})"
      "\n");
  Answered follower = Follower();
  follower.status.raft.peers.resize(1);
  CHECK(StatusJson(follower).find(R"("leader":null,)") != std::string::npos);
  CHECK(MembersJson(follower) ==
        R"({"told_by":1,"is_told_by_leader":false,"configuration_index":5,"is_joint":true,"members":[)"
        R"({"id":1,"addr":"a:1","kind":"voter","is_self":true,"is_catching_up":false,)"
        R"("incarnation":0,"needs_readmission":false,"data":"","match_index":null,)"
        R"("lag_entries":null,"lag_bytes":null,"lag_us":null,"inflight_bytes":null,)"
        R"("last_contact_us":null,"is_reachable":null}]})"
        "\n");
}

TEST_CASE("data that is not UTF-8 is in the JSON byte by byte") {
  Answered answered = Leader();
  answered.status.raft.peers[0].data = std::string("\x00\xff", 2);
  CHECK(MembersJson(answered).find(R"("data":"\u0000\ufffd","data_hex":"00ff",)") != std::string::npos);
}

TEST_CASE("nothing that a terminal would obey is printed, and long data is cut between characters") {
  CHECK(Printable("a\x1b[2Jb\n\x7f") == "a\\x1b[2Jb\\x0a\\x7f");
  CHECK(Printable("\xc3\xa4") == "\xc3\xa4");
  CHECK(Printable("\xc3") == "\\xc3");
  CHECK(Printable("a\xc2\x9b"
                  "2J") == "a\\xc2\\x9b2J");
  Answered answered = Leader();
  answered.status.raft.peers[0].data = "\x1b]0;title\x07";
  answered.status.raft.peers[0].peer.addr = Addr("a\r:1");
  answered.status.raft.peers[1].data = std::string(47, 'd') + "\xc3\xa4 and more";
  const std::string text = MembersText(answered);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find("\\x1b]0;title\\x07") != std::string::npos);
  CHECK(text.find(std::string(47, 'd') + "...\n") != std::string::npos);
}

TEST_CASE("kinds and roles of a later version are shown as their numbers") {
  Answered answered = Leader();
  answered.status.raft.peers[0].kind = static_cast<MemberKind>(9);
  CHECK(MembersText(answered).find(" 1  9  ") != std::string::npos);
  CHECK(MembersJson(answered).find(R"("kind":"9")") != std::string::npos);
  answered.status.raft.role = static_cast<Role>(8);
  CHECK(StatusText(answered).find("role           8 in term 7\n") != std::string::npos);
}

TEST_CASE("a cluster is well if all its members answer and have the log, and nothing changes") {
  RaftStatus raft = Leader().status.raft;
  raft.peers = {Member(1, MemberKind::kVoter, 1200, true), Member(2, MemberKind::kLearner, 1190, true)};
  CHECK(WhyNotHealthy(raft, 10).empty());
  CHECK(WhyNotHealthy(raft, 9) == "node 2 is 10 entries behind, more than 9");
  raft.is_disk_stalled = true;
  CHECK(WhyNotHealthy(raft, 10) ==
        "the disk of node 1, which leads, is stalled: see to it, or transfer the leadership");
  raft.is_disk_stalled = false;
  raft.peers[1].match_index = Index(0);  // by a leader that has just begun, and has no answer yet
  CHECK(WhyNotHealthy(raft, 2000) == "the leader does not know yet what node 2 has of the log");
  raft.peers[1].match_index = Index(1190);
  raft.peers[1].needs_readmission = true;
  CHECK(WhyNotHealthy(raft, 10) == "node 2 runs on another data directory: readmit it if its own is lost");
  raft.peers[1].needs_readmission = false;
  raft.peers[1].is_reachable = false;
  CHECK(WhyNotHealthy(raft, 10) == "the leader does not reach node 2 at b:2");
  raft.peers[1].is_catching_up = true;
  CHECK(WhyNotHealthy(raft, 10) == "node 2 is catching up to become a voter");
  raft.peers.pop_back();
  raft.is_joint = true;
  CHECK(WhyNotHealthy(raft, 10) == "the change of the members at index 5 is not complete");
  raft.is_joint = false;
  raft.configuration_index = Index(1199);
  CHECK(WhyNotHealthy(raft, 10) == "the change of the members at index 1199 is not complete");
  raft.configuration_index = Index(1198);
  CHECK(WhyNotHealthy(raft, 10).empty());
  raft.role = Role::kFollower;
  CHECK(WhyNotHealthy(raft, 10) == "node 1 does not lead");
}

TEST_SUITE_END();

}  // namespace
}  // namespace ringraft::cli
