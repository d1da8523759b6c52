#include "text/byte_level.hpp"

#include <unordered_map>

namespace vljepa {

namespace {

std::string utf8(unsigned code) {  // below U+0800
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
}

struct Character {
    std::size_t bytes;  // of the character or, where it is not one, of what began as one
    bool is_valid;
};

Character character_at(const std::string& bytes, std::size_t at) {
    const auto byte = [&](std::size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u; };
    const unsigned lead = byte(at);
    if (lead < 0x80) return {1, true};
    if (lead < 0xC2 || lead > 0xF4) return {1, false};
    const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    for (std::size_t i = 1; i < size; ++i) {
        const unsigned next = byte(at + i);
        unsigned low = 0x80;
        unsigned high = 0xBF;
        if (i == 1 && lead == 0xE0) low = 0xA0;
        if (i == 1 && lead == 0xED) high = 0x9F;
        if (i == 1 && lead == 0xF0) low = 0x90;
        if (i == 1 && lead == 0xF4) high = 0x8F;
        if (next < low || next > high) return {i, false};
    }
    return {size, true};
}

}  // namespace

const std::array<std::string, 256>& byte_characters() {
    static const std::array<std::string, 256> kCharacters = [] {
        std::array<std::string, 256> found;
        unsigned next = 0x100;
        for (unsigned byte = 0; byte < 256; ++byte) {
            const bool is_seen = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
            found[byte] = utf8(is_seen ? byte : next++);
        }
        return found;
    }();
    return kCharacters;
}

std::size_t character_bytes(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    return byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
}

bool bytes_of(std::string_view text, std::string& out) {
    static const std::unordered_map<std::string, char> kBytes = [] {
        std::unordered_map<std::string, char> found;
        for (unsigned byte = 0; byte < 256; ++byte) found[byte_characters()[byte]] = static_cast<char>(byte);
        return found;
    }();
    std::string found;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = character_bytes(text[at]);
        const auto byte = kBytes.find(std::string(text.substr(at, size)));
        if (byte == kBytes.end()) return false;
        found += byte->second;
        at += size;
    }
    out += found;
    return true;
}

std::string lossy_utf8(const std::string& bytes) {
    std::string text;
    for (std::size_t at = 0; at < bytes.size();) {
        const Character character = character_at(bytes, at);
        text += character.is_valid ? bytes.substr(at, character.bytes) : "\xEF\xBF\xBD";
        at += character.bytes;
    }
    return text;
}

}  // namespace vljepa
