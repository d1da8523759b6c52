#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace vljepa {

/// SHA-256 (FIPS 180-4) of bytes that come in pieces.
class Sha256 {
  public:
    Sha256();

    void add(const void* data, std::size_t size);
    /// 64 hex digits; nothing can be added afterwards.
    std::string hex();

  private:
    void block(const std::uint8_t* data);

    std::array<std::uint32_t, 8> state_;
    std::array<std::uint8_t, 64> waiting_{};
    std::size_t filled_ = 0;
    std::uint64_t total_ = 0;
};

}  // namespace vljepa
