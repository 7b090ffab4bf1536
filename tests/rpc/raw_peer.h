// A peer that sends arbitrary bytes: a plain socket, and hand-made messages of Cap'n Proto.
#pragma once

// clang-format off: this one comes first
#include "rpc/capnp_compat.h"
// clang-format on

#include <arpa/inet.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <peer.capnp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "harness.h"
#include "rpc/codec.h"

namespace ringraft::rpc_test {

// A peer that keeps to no protocol: a plain socket.
class RawPeer {
 public:
  RawPeer(World& world, const Node& node) : world_(world), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(node.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  RawPeer(World& world, int fd) : world_(world), fd_(fd) {}  // at the accepted end of a connection
  RawPeer(RawPeer&& other) noexcept : world_(other.world_), fd_(std::exchange(other.fd_, -1)) {}
  ~RawPeer() {
    if (fd_ >= 0) ::close(fd_);
  }

  void Send(std::string_view bytes) {
    world_.RunUntil([&]() {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
      return bytes.empty() || (sent < 0 && errno != EAGAIN);
    });
  }
  void Send(capnp::MessageBuilder& message) {
    auto words = capnp::messageToFlatArray(message);
    auto bytes = words.asBytes();
    Send(std::string_view(reinterpret_cast<const char*>(bytes.begin()), bytes.size()));
  }
  // Turns until the node has closed the connection.
  void AwaitEnd() {
    world_.RunUntil([&]() { return !Receive(); });
  }
  // Returns false at the end of the connection.
  bool Receive() {
    char buffer[4096];
    while (true) {
      const ssize_t got = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (got > 0) received_.append(buffer, static_cast<size_t>(got));
      if (got > 0) continue;
      return got < 0 && errno == EAGAIN;
    }
  }
  // The next message from the node.
  kj::Array<capnp::word> AwaitMessage() {
    size_t words = 0;
    world_.RunUntil([&]() {
      Receive();
      auto prefix = kj::heapArray<capnp::word>(received_.size() / 8);
      memcpy(prefix.begin(), received_.data(), prefix.size() * 8);
      words = prefix.size() == 0 ? 1 : capnp::expectedSizeInWordsFromPrefix(prefix);
      return words * 8 <= received_.size();
    });
    auto message = kj::heapArray<capnp::word>(words);
    memcpy(message.begin(), received_.data(), words * 8);
    received_.erase(0, words * 8);
    return message;
  }

 private:
  World& world_;
  int fd_;
  std::string received_;
};

inline void SendBootstrap(RawPeer& peer, uint32_t question) {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(question);
  peer.Send(message);
}

// A call on the future result of another question.
inline capnp::rpc::Call::Builder InitCall(capnp::MallocMessageBuilder& message, uint32_t question, uint32_t on,
                                          uint64_t interface_id, uint16_t method) {
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  call.setQuestionId(question);
  call.initTarget().initPromisedAnswer().setQuestionId(on);
  call.setInterfaceId(interface_id);
  call.setMethodId(method);
  return call;
}

inline void SendHello(RawPeer& peer, uint32_t question, const rpc::Hello& hello) {
  capnp::MallocMessageBuilder message;
  auto call = InitCall(message, question, question - 1, capnp::typeId<schema::Door>(), 0);
  auto params = call.initParams().getContent().initAs<schema::Door::HandshakeParams>();
  rpc::Encode(hello, params.initHello());
  peer.Send(message);
}

inline rpc::Hello GoodHello(const Node& from, const Node& to) {
  rpc::Hello hello;
  hello.version = kProtocolVersion;
  hello.from = from.identity;
  hello.to = to.id();
  return hello;
}

// Bootstrap is question 0 and the handshake question 1; the result of the latter has the session.
inline void ShakeHands(RawPeer& peer, const Node& from, const Node& to) {
  SendBootstrap(peer, 0);
  SendHello(peer, 1, GoodHello(from, to));
  peer.AwaitMessage();
  auto words = peer.AwaitMessage();
  capnp::FlatArrayMessageReader reader(words);
  auto answer = reader.getRoot<capnp::rpc::Message>().getReturn();
  REQUIRE(answer.isResults());
  REQUIRE(answer.getResults().getContent().getAs<schema::Door::HandshakeResults>().getWelcome().getErrc() == 0);
}

// A call on the session in the handshake's result.
inline capnp::rpc::Call::Builder InitSessionCall(capnp::MallocMessageBuilder& message, uint32_t question,
                                                 uint16_t method) {
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  call.setQuestionId(question);
  auto answer = call.initTarget().initPromisedAnswer();
  answer.setQuestionId(1);
  auto transform = answer.initTransform(2);
  transform[0].setGetPointerField(0);  // the results' welcome
  transform[1].setGetPointerField(1);  // its session
  call.setInterfaceId(capnp::typeId<schema::Session>());
  call.setMethodId(method);
  return call;
}

inline void CheckAlive(World& world, Node& a, Node& b) {
  CHECK(Finish(world, a.rpc->CallAppendEntries(b.addr(), AppendTo(a, b, {MakeTestBatch(1, 5, 1000)}))));
}

}  // namespace ringraft::rpc_test
