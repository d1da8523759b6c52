#include "bundle/sha256.hpp"

#include <algorithm>
#include <cstring>

namespace vljepa {

namespace {

// The standard's constants are the first 32 bits of the fractions of roots of the first primes: square roots for the
// state, cube roots for the rounds. Both are exact in integers.
struct Constants {
    std::array<std::uint32_t, 8> state{};
    std::array<std::uint32_t, 64> rounds{};

    Constants() {
        std::size_t found = 0;
        for (std::uint32_t n = 2; found < rounds.size(); ++n) {
            bool prime = true;
            for (std::uint32_t d = 2; d * d <= n; ++d) prime = prime && n % d != 0;
            if (!prime) continue;
            if (found < state.size()) state[found] = fraction(n, 2);
            rounds[found++] = fraction(n, 3);
        }
    }

    // The largest x with x^power <= n * 2^(32 * power), without its integer part.
    static std::uint32_t fraction(std::uint32_t n, int power) {
        std::uint64_t low = 0;
        std::uint64_t high = std::uint64_t{1} << 37;
        while (high - low > 1) {
            const std::uint64_t middle = (low + high) / 2;
            (at_most(middle, power, n) ? low : high) = middle;
        }
        return static_cast<std::uint32_t>(low);
    }

    // Whether x^power <= n * 2^(32 * power), in numbers of 32-bit digits.
    static bool at_most(std::uint64_t x, int power, std::uint32_t n) {
        std::array<std::uint64_t, 6> product{1};
        for (int i = 0; i < power; ++i) product = times(product, x);
        const auto top = static_cast<std::size_t>(power);
        for (std::size_t i = product.size(); i-- > top + 1;) {
            if (product[i] != 0) return false;
        }
        if (product[top] != n) return product[top] < n;
        return std::all_of(product.begin(), product.begin() + power, [](std::uint64_t digit) { return digit == 0; });
    }

    static std::array<std::uint64_t, 6> times(const std::array<std::uint64_t, 6>& a, std::uint64_t x) {
        const std::array<std::uint64_t, 2> digits{x & 0xFFFFFFFFu, x >> 32};
        std::array<std::uint64_t, 6> out{};
        for (std::size_t j = 0; j < digits.size(); ++j) {
            std::uint64_t carry = 0;
            for (std::size_t i = 0; i + j < out.size(); ++i) {
                const std::uint64_t sum = out[i + j] + a[i] * digits[j] + carry;
                out[i + j] = sum & 0xFFFFFFFFu;
                carry = sum >> 32;
            }
        }
        return out;
    }
};

const Constants& constants() {
    static const Constants kConstants;
    return kConstants;
}

std::uint32_t turned(std::uint32_t x, int by) { return x >> by | x << (32 - by); }

}  // namespace

Sha256::Sha256() : state_(constants().state) {}

void Sha256::add(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::uint8_t*>(data);
    total_ += size;
    while (size > 0) {
        if (filled_ == 0 && size >= waiting_.size()) {
            block(bytes);
            bytes += waiting_.size();
            size -= waiting_.size();
            continue;
        }
        const std::size_t taken = std::min(size, waiting_.size() - filled_);
        std::memcpy(waiting_.data() + filled_, bytes, taken);
        filled_ += taken;
        bytes += taken;
        size -= taken;
        if (filled_ == waiting_.size()) {
            block(waiting_.data());
            filled_ = 0;
        }
    }
}

std::string Sha256::hex() {
    const std::uint64_t bits = total_ * 8;
    const std::uint8_t one = 0x80;
    const std::uint8_t zero = 0;
    add(&one, 1);
    while (filled_ != 56) add(&zero, 1);
    std::array<std::uint8_t, 8> length{};
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
    add(length.data(), length.size());
    std::string text;
    for (const std::uint32_t word : state_) {
        for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    }
    return text;
}

void Sha256::block(const std::uint8_t* data) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i) {
        w[i] = static_cast<std::uint32_t>(data[4 * i]) << 24 | static_cast<std::uint32_t>(data[4 * i + 1]) << 16 |
               static_cast<std::uint32_t>(data[4 * i + 2]) << 8 | data[4 * i + 3];
    }
    for (std::size_t i = 16; i < 64; ++i) {
        const std::uint32_t a = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
        const std::uint32_t b = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    const auto& rounds = constants().rounds;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::uint32_t mixed = (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g));
        const std::uint32_t first = h + mixed + rounds[i] + w[i];
        const std::uint32_t second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    const std::array<std::uint32_t, 8> added{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state_[i] += added[i];
}

}  // namespace vljepa
