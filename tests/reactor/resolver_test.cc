// Names that hang, that move and that fail, while everything else goes on.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <atomic>
#include <map>
#include <optional>
#include <string>

#include "support.h"

namespace ringraft::reactor {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// The look-ups of a test. A name is answered once its gate is open.
struct Names {
  std::mutex mutex;
  std::map<std::string, std::shared_ptr<Gate>> gates;  // none: at once
  std::map<std::string, std::string> addresses;        // none: the look-up fails
  std::map<std::string, int> begun;

  std::shared_ptr<Gate> Hang(const std::string& host) {
    std::lock_guard lock(mutex);
    return gates[host] = std::make_shared<Gate>();
  }
  void Set(const std::string& host, const std::string& address) {
    std::lock_guard lock(mutex);
    addresses[host] = address;
  }
  void Fail(const std::string& host) {
    std::lock_guard lock(mutex);
    addresses.erase(host);
  }
  int Begun(const std::string& host) {
    std::lock_guard lock(mutex);
    return begun[host];
  }
  Result<SocketAddresses> Lookup(const HostPort& where) {
    std::unique_lock lock(mutex);
    ++begun[where.host];
    if (auto gate = gates[where.host]) {
      lock.unlock();
      gate->Pass();
      lock.lock();
    }
    auto found = addresses.find(where.host);
    if (found == addresses.end()) return Error(Errc::kUnreachable, "no such name");
    return ResolveNumeric(HostPort{found->second, where.port});
  }
};

// It outlives the host: look-ups that hang do.
std::unique_ptr<RingHost> MakeHostWith(std::shared_ptr<Names> names) {
  auto host = MakeHost();
  host->resolver().SetLookup([names](const HostPort& where) { return names->Lookup(where); });
  return host;
}

using Answer = std::optional<Result<SocketAddresses>>;

Task<void> Ask(RingHost& host, std::string name, TimePoint deadline, Answer& answer) {
  auto resolve = host.resolver().Resolve(HostPort{std::move(name), "7000"}, deadline);
  auto resolved = co_await resolve;
  answer.emplace(std::move(resolved));
}

std::string Await(RingHost& host, const std::string& name, Duration patience = hours(1)) {
  Answer answer;
  TurnScope scope(host.loop());
  scope.Start(Ask(host, name, host.loop().Now() + patience, answer));
  REQUIRE(TurnUntil(host, [&] { return answer.has_value(); }));
  return *answer ? ToString(answer->value().front()) : answer->error().message();
}

Task<void> Work(RingHost& host, bool& is_done) {
  auto run = host.RunBlocking([] {});
  co_await run;
  is_done = true;
}

}  // namespace

TEST_CASE("J1: all that wait for a name share one look-up") {
  auto names = std::make_shared<Names>();
  auto gate = names->Hang("a.example");
  names->Set("a.example", "10.0.0.1");
  auto host = MakeHostWith(names);
  std::vector<Answer> answers(10);
  TurnScope scope(host->loop());
  for (Answer& answer : answers) scope.Start(Ask(*host, "a.example", TimePoint::max(), answer));
  host->Turn(Duration::zero());
  gate->Open();
  for (Answer& answer : answers) {
    REQUIRE(TurnUntil(*host, [&] { return answer.has_value(); }));
    REQUIRE(*answer);
    CHECK(ToString(answer->value().front()) == "10.0.0.1:7000");
  }
  CHECK(names->Begun("a.example") == 1);
}

TEST_CASE("J1: a look-up that takes longer than its caller waits is not lost") {
  auto names = std::make_shared<Names>();
  auto gate = names->Hang("slow.example");
  names->Set("slow.example", "10.0.0.1");
  auto host = MakeHostWith(names);
  CHECK(Await(*host, "slow.example", milliseconds(1)) ==
        "the name 'slow.example' was not resolved in time; check the DNS servers, or use a numeric address");
  gate->Open();
  CHECK(Await(*host, "slow.example") == "10.0.0.1:7000");
  CHECK(names->Begun("slow.example") <= 2);
}

TEST_CASE("J1: the last good answer is used while a look-up hangs, and when it fails; a new one replaces it") {
  auto names = std::make_shared<Names>();
  names->Set("b.example", "10.0.0.1");
  auto host = MakeHostWith(names);
  CHECK(Await(*host, "b.example") == "10.0.0.1:7000");
  names->Set("b.example", "10.0.0.2");
  CHECK(Await(*host, "b.example") == "10.0.0.2:7000");
  names->Fail("b.example");
  CHECK(Await(*host, "b.example") == "10.0.0.2:7000");
  auto gate = names->Hang("b.example");
  CHECK(Await(*host, "b.example") == "10.0.0.2:7000");
  CHECK(Await(*host, "b.example") == "10.0.0.2:7000");
  gate->Open();
  CHECK(Await(*host, "never.example") == "no such name");
}

TEST_CASE("J1: names that hang delay neither other names nor other work, nor the end of the host") {
  auto names = std::make_shared<Names>();
  std::vector<std::shared_ptr<Gate>> gates;
  names->Set("c.example", "10.0.0.3");
  {
    auto host = MakeHostWith(names);
    std::vector<Answer> answers(3);
    TurnScope scope(host->loop());
    for (size_t i = 0; i < answers.size(); ++i) {
      const std::string name = "hang" + std::to_string(i) + ".example";
      gates.push_back(names->Hang(name));
      scope.Start(Ask(*host, name, TimePoint::max(), answers[i]));
    }
    CHECK(Await(*host, "c.example") == "10.0.0.3:7000");
    bool is_done = false;
    scope.Start(Work(*host, is_done));
    REQUIRE(TurnUntil(*host, [&] { return is_done; }));
    CHECK_FALSE(answers[0].has_value());
  }
  for (auto& gate : gates) gate->Open();
}

TEST_CASE("J1: only so many look-ups run at a time, and one without a waiter leaves the queue") {
  auto names = std::make_shared<Names>();
  std::vector<std::shared_ptr<Gate>> gates;
  auto host = MakeHostWith(names);
  std::vector<Answer> answers(Resolver::kMaxThreads + 2);
  TurnScope hanging(host->loop());
  for (size_t i = 0; i < Resolver::kMaxThreads; ++i) {
    const std::string name = std::to_string(i) + ".hang.example";
    gates.push_back(names->Hang(name));
    hanging.Start(Ask(*host, name, TimePoint::max(), answers[i]));
    while (names->Begun(name) == 0) std::this_thread::yield();
  }
  names->Set("kept.example", "10.0.0.4");
  TurnScope kept(host->loop());
  {
    TurnScope dropped(host->loop());
    dropped.Start(Ask(*host, "dropped.example", TimePoint::max(), answers[Resolver::kMaxThreads]));
    kept.Start(Ask(*host, "kept.example", TimePoint::max(), answers[Resolver::kMaxThreads + 1]));
  }
  for (auto& gate : gates) gate->Open();
  REQUIRE(TurnUntil(*host, [&] { return answers.back().has_value(); }));
  CHECK(answers.back()->has_value());
  CHECK(names->Begun("dropped.example") == 0);
}

TEST_CASE("J1: as many names are remembered as a cluster has, not more") {
  auto names = std::make_shared<Names>();
  auto host = MakeHostWith(names);
  names->Set("first.example", "10.0.0.5");
  CHECK(Await(*host, "first.example") == "10.0.0.5:7000");
  names->Fail("first.example");
  CHECK(Await(*host, "first.example") == "10.0.0.5:7000");
  for (size_t i = 0; i < Resolver::kMaxNames; ++i) Await(*host, std::to_string(i) + ".example");
  CHECK(Await(*host, "first.example") == "no such name");
}

TEST_CASE("J1: a thread that waits for a name waits for so long, and gets the earlier answer") {
  auto names = std::make_shared<Names>();
  auto gate = names->Hang("own.example");
  names->Set("own.example", "127.0.0.1");
  auto host = MakeHostWith(names);
  const HostPort own{"own.example", "0"};
  auto late = host->resolver().ResolveWithin(own, milliseconds(1));
  REQUIRE_FALSE(late);
  CHECK(late.error() == Errc::kTimedOut);
  gate->Open();
  auto found = host->resolver().ResolveWithin(own, hours(1));
  REQUIRE(found);
  CHECK(ToString(found.value().front()) == "127.0.0.1:0");
}

}  // namespace ringraft::reactor
