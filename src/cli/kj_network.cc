#include "cli/kj_network.h"

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <capnp/rpc-twoparty.h>
#include <fmt/format.h>
#include <kj/async-io.h>
#include <peer.capnp.h>

#include <algorithm>
#include <string>

#include "base/try.h"
#include "ringraft/options.h"
#include "rpc/admin_codec.h"
#include "rpc/kj_error.h"

namespace ringraft::cli {
namespace {

// A node ends an order at its own deadline, and says how: the tool waits so much longer to hear it, since to give up a
// moment before would turn a plain answer into an unknown outcome. --help says so.
constexpr Duration kGrace = std::chrono::seconds(1);

class KjNetwork final : public Network {
 public:
  explicit KjNetwork(std::optional<GroupId> group) : io_(kj::setupAsyncIo()), group_(group) {}
  ~KjNetwork() noexcept override {}

  Result<std::unique_ptr<Node>> Connect(const Addr& addr, TimePoint deadline) override;
  TimePoint Now() override { return Clock::now(); }
  void Sleep(Duration duration) override { io_.provider->getTimer().afterDelay(ToKj(duration)).wait(io_.waitScope); }

  // Null after the deadline. Throws what the promise does.
  template <class T>
  kj::Maybe<T> Await(kj::Promise<T> promise, TimePoint deadline) {
    auto late = io_.provider->getTimer()
                    .afterDelay(ToKj(std::max(deadline - Now(), Duration::zero())))
                    .then([]() -> kj::Maybe<T> { return nullptr; });
    return promise.then([](T&& value) -> kj::Maybe<T> { return kj::mv(value); })
        .exclusiveJoin(kj::mv(late))
        .wait(io_.waitScope);
  }

 private:
  static kj::Duration ToKj(Duration duration) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count() * kj::NANOSECONDS;
  }
  Result<kj::Own<kj::AsyncIoStream>> Open(const Addr& addr, TimePoint deadline);

  kj::AsyncIoContext io_;
  std::optional<GroupId> group_;
};

class KjNode final : public Node {
 public:
  KjNode(KjNetwork& network, const Addr& addr, kj::Own<kj::AsyncIoStream> stream)
      : network_(network), addr_(addr), stream_(kj::mv(stream)), client_(*stream_), admin_(nullptr) {}
  ~KjNode() noexcept override {}

  Result<void> Greet(std::optional<GroupId> group, TimePoint deadline);
  Result<AdminStatus> Status(TimePoint deadline) override;
  Result<void> Do(const Order& order, TimePoint deadline) override;

 private:
  // What became of a call that has been sent; `read` makes a result of the response.
  template <class T, class Response, class Read>
  Result<T> Finish(kj::Promise<Response> call, TimePoint deadline, const Read& read);

  KjNetwork& network_;
  const Addr addr_;
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::TwoPartyClient client_;
  schema::Admin::Client admin_;
};

// --- connecting ---

Error Unreachable(const Addr& addr, std::string_view why) {
  return Error(Errc::kUnreachable, fmt::format("{}: {}", addr.text(), why));
}

Error TooLate(const Addr& addr, std::string_view why) {
  return Error(Errc::kTimedOut, fmt::format("{}: {}", addr.text(), why));
}

Error WithAddr(const Addr& addr, const Error& error) {
  return Error(error.code(), fmt::format("{}: {}", addr.text(), error.message()));
}

Result<kj::Own<kj::AsyncIoStream>> KjNetwork::Open(const Addr& addr, TimePoint deadline) {
  kj::Own<kj::NetworkAddress> address;
  try {
    auto resolving = io_.provider->getNetwork().parseAddress(kj::StringPtr(addr.text().c_str()));
    KJ_IF_MAYBE (found, Await(kj::mv(resolving), deadline)) {
      address = kj::mv(*found);
    } else {
      return TooLate(addr, "its name was not resolved in time; give the number, or more --timeout");
    }
  } catch (const kj::Exception&) {
    return Unreachable(addr, "its name cannot be resolved; correct the address");
  }
  try {
    KJ_IF_MAYBE (stream, Await(address->connect(), deadline)) return kj::mv(*stream);
  } catch (const kj::Exception&) {
    return Unreachable(addr, "no connection; does the node run, and is this where its peers reach it (--addr)?");
  }
  return TooLate(addr, "no connection in time; is its machine up, and does the network let connections through?");
}

Result<std::unique_ptr<Node>> KjNetwork::Connect(const Addr& addr, TimePoint deadline) {
  RINGRAFT_TRYV(ParseAddr(addr.text()));
  RINGRAFT_TRY(stream, Open(addr, deadline));
  auto node = std::make_unique<KjNode>(*this, addr, kj::mv(stream));
  RINGRAFT_TRYV(node->Greet(group_, deadline));
  return std::unique_ptr<Node>(std::move(node));
}

Result<void> KjNode::Greet(std::optional<GroupId> group, TimePoint deadline) {
  auto request = client_.bootstrap().castAs<schema::Door>().adminRequest();
  rpc::Encode(rpc::AdminHello{kProtocolVersion, group}, request.initHello());
  using Response = capnp::Response<schema::Door::AdminResults>;
  auto greeted = Finish<void>(kj::Promise<Response>(request.send()), deadline, [this](Response& response) {
    auto welcome = response.getWelcome();
    Result<void> outcome = rpc::Decode(welcome.getOutcome());
    if (outcome) admin_ = welcome.getAdmin();
    return outcome;
  });
  if (greeted) return greeted;
  // Nothing has been asked for yet: whatever went wrong with the connection, nothing has happened.
  switch (greeted.error().code()) {
    case Errc::kUnknown:
    case Errc::kProtocol:
      return Unreachable(addr_,
                         "what is there does not speak as a node of this version does to operators; is this the "
                         "port for peers, not that for clients? Or upgrade the older of node and tool");
    case Errc::kTimedOut:
      return TooLate(addr_,
                     "what is there said nothing in time; is this the port for peers, not that for clients? If it is, "
                     "the node hangs or is overloaded: see to it, ask another one, or give more --timeout");
    default:
      return greeted;
  }
}

// --- calls ---

template <class T, class Response, class Read>
Result<T> KjNode::Finish(kj::Promise<Response> call, TimePoint deadline, const Read& read) {
  try {
    KJ_IF_MAYBE (response, network_.Await(kj::mv(call), deadline)) {
      Result<T> result = read(*response);
      if (!result && !result.error().leader()) return WithAddr(addr_, result.error());
      return result;
    }
    return TooLate(addr_, "no answer in time; see whether the node hangs, ask another one, or give more --timeout");
  } catch (const kj::Exception& exception) {
    return WithAddr(addr_, rpc::ToError(exception));
  }
}

Result<AdminStatus> KjNode::Status(TimePoint deadline) {
  using Response = capnp::Response<schema::Admin::StatusResults>;
  return Finish<AdminStatus>(kj::Promise<Response>(admin_.statusRequest().send()), deadline,
                             [](Response& response) -> Result<AdminStatus> {
                               RINGRAFT_TRYV(rpc::Decode(response.getOutcome()));
                               return rpc::Decode(response.getStatus());
                             });
}

Result<void> KjNode::Do(const Order& order, TimePoint deadline) {
  const auto timeout_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::max(deadline - network_.Now(), Duration::zero()))
          .count();
  const auto finish = [&]<class Results>(capnp::RemotePromise<Results> call) {
    using Response = capnp::Response<Results>;
    return Finish<void>(kj::Promise<Response>(kj::mv(call)), deadline + kGrace,
                        [](Response& response) { return rpc::Decode(response.getOutcome()); });
  };
  if (const auto* change = std::get_if<ConfigChange>(&order)) {
    auto request = admin_.changeConfigRequest(rpc::SizeHint(*change));
    rpc::Encode(*change, request.initChange());
    request.setTimeoutNs(timeout_ns);
    return finish(request.send());
  }
  if (const auto* transfer = std::get_if<TransferLeadership>(&order)) {
    auto request = admin_.transferLeadershipRequest();
    request.setTo(transfer->to.value());
    request.setTimeoutNs(timeout_ns);
    return finish(request.send());
  }
  return finish(admin_.abortConfigChangeRequest().send());
}

}  // namespace

std::unique_ptr<Network> MakeKjNetwork(std::optional<GroupId> group) { return std::make_unique<KjNetwork>(group); }

}  // namespace ringraft::cli
