@0xd8c1f6a2b7e40591;
# A service that returns its arguments, for the tests of Cap'n Proto over the ring's streams.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("ringraft::reactor::test");

interface Echo {
  echo @0 (text :Data) -> (text :Data);
  hang @1 () -> ();
}
