// SHA-256 against the examples of FIPS 180-4, and pieces of any size give one hash.

#include "bundle/sha256.hpp"

#include <algorithm>
#include <string>

#include "check.hpp"

namespace {

std::string hash(const std::string& data, std::size_t piece) {
    vljepa::Sha256 digest;
    for (std::size_t at = 0; at < data.size(); at += piece) {
        digest.add(data.data() + at, std::min(piece, data.size() - at));
    }
    return digest.hex();
}

}  // namespace

int main() {
    CHECK(hash("", 1) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hash("abc", 3) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 7) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    const std::string million(1'000'000, 'a');
    for (const std::size_t piece : {1u, 63u, 64u, 65u, 1'000'000u}) {
        CHECK(hash(million, piece) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}
