#include "bundle/zip.hpp"

#include <algorithm>
#include <fstream>
#include <set>

#include "vljepa/error.hpp"
#include "vljepa/manifest.hpp"

namespace vljepa {

namespace {

constexpr std::uint32_t kEndSignature = 0x06054b50;
constexpr std::uint32_t kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kLocator64Signature = 0x07064b50;
constexpr std::uint32_t kDirectorySignature = 0x02014b50;
constexpr std::uint32_t kLocalSignature = 0x04034b50;
constexpr std::uint64_t kEndSize = 22;
constexpr std::uint64_t kEnd64Size = 56;
constexpr std::uint64_t kLocator64Size = 20;
constexpr std::uint64_t kDirectorySize = 46;
constexpr std::uint64_t kLocalSize = 30;
constexpr std::uint64_t kLongestComment = 65535;
constexpr std::uint64_t kLargestDirectory = 4u << 20;  // 1000 names of 200 letters, and then some
constexpr std::uint64_t kMostRatio = 200;               // of real bytes over packed bytes
constexpr std::uint64_t kSmall = 1u << 20;
constexpr unsigned kStored = 0;
constexpr unsigned kDeflated = 8;
constexpr unsigned kTypeBits = 0170000, kRegular = 0100000, kDirectory = 0040000;

std::uint64_t number(const std::string& bytes, std::uint64_t at, int size) {
    std::uint64_t value = 0;
    for (int i = size - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<unsigned>(i)]);
    return value;
}

// The directory of one file, which is read by place and never past its end.
class DirectoryReader {
  public:
    explicit DirectoryReader(const std::string& path) : path_(path), file_(path, std::ios::binary) {
        if (!file_) throw BundleError(path, "can't be read");
        file_.seekg(0, std::ios::end);
        size_ = static_cast<std::uint64_t>(file_.tellg());
    }

    std::vector<ZipEntry> read() {
        const auto [first, size, count] = locate();
        if (size > kLargestDirectory) fail("its directory is too large");
        const std::string directory = bytes(first, size);
        std::vector<ZipEntry> entries;
        std::set<std::string> names;
        std::uint64_t at = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
            if (directory.size() - at < kDirectorySize || number(directory, at, 4) != kDirectorySignature) {
                fail("its directory is damaged");
            }
            entries.push_back(entry(directory, at));
            if (!names.insert(entries.back().name + (entries.back().is_folder ? "/" : "")).second) {
                throw BundleError(entries.back().name, "occurs twice in the archive; a bundle holds each file once");
            }
        }
        if (!packed_.empty()) {  // said last: it is the least of what may be wrong
            throw BundleError(packed_, "is deflated; libvljepa reads stored entries only, as vljepa-edge writes them");
        }
        return entries;
    }

  private:
    struct Place {
        std::uint64_t first;
        std::uint64_t size;
        std::uint64_t count;
    };

    [[noreturn]] void fail(const std::string& why) const {
        throw BundleError(path_, "is not a readable bundle (" + why + "); give a bundle folder or a .vljepa file");
    }

    std::string bytes(std::uint64_t at, std::uint64_t count) {
        if (at > size_ || count > size_ - at) fail("it ends early");
        std::string found(count, '\0');
        file_.clear();
        file_.seekg(static_cast<std::streamoff>(at));
        file_.read(found.data(), static_cast<std::streamsize>(count));
        if (static_cast<std::uint64_t>(file_.gcount()) != count) fail("it can't be read to its end");
        return found;
    }

    Place locate() {
        if (size_ < kEndSize) fail("it is no zip");
        const std::uint64_t tail_size = std::min(size_, kEndSize + kLongestComment);
        const std::string tail = bytes(size_ - tail_size, tail_size);
        for (std::uint64_t at = tail.size() - kEndSize + 1; at-- > 0;) {
            if (number(tail, at, 4) != kEndSignature) continue;
            if (number(tail, at + 20, 2) != tail.size() - at - kEndSize) continue;
            const std::uint64_t end = size_ - tail_size + at;
            Place place{number(tail, at + 16, 4), number(tail, at + 12, 4), number(tail, at + 10, 2)};
            std::uint64_t behind = end;
            if (place.first == 0xFFFFFFFF || place.size == 0xFFFFFFFF || place.count == 0xFFFF) {
                place = locate64(end, behind);
            }
            if (place.first > behind || behind - place.first != place.size) fail("its directory is not where it should be");
            return place;
        }
        fail("it is no zip");
    }

    Place locate64(std::uint64_t end, std::uint64_t& behind) {
        if (end < kLocator64Size) fail("it is no zip");
        const std::string locator = bytes(end - kLocator64Size, kLocator64Size);
        if (number(locator, 0, 4) != kLocator64Signature) fail("its zip64 directory is missing");
        behind = number(locator, 8, 8);
        const std::string record = bytes(behind, kEnd64Size);
        if (number(record, 0, 4) != kEnd64Signature) fail("its zip64 directory is missing");
        return {number(record, 48, 8), number(record, 40, 8), number(record, 32, 8)};
    }

    // The entry at a place of the directory, which is moved behind it.
    ZipEntry entry(const std::string& directory, std::uint64_t& at) {
        const std::uint64_t name_size = number(directory, at + 28, 2);
        const std::uint64_t extra_size = number(directory, at + 30, 2);
        const std::uint64_t comment_size = number(directory, at + 32, 2);
        if (directory.size() - at - kDirectorySize < name_size + extra_size + comment_size) fail("its directory is damaged");
        ZipEntry found;
        found.name = directory.substr(at + kDirectorySize, name_size);
        found.size = number(directory, at + 24, 4);
        found.offset = number(directory, at + 42, 4);
        std::uint64_t packed = number(directory, at + 20, 4);
        widen(directory.substr(at + kDirectorySize + name_size, extra_size), found, packed);
        check(directory, at, found, packed);
        at += kDirectorySize + name_size + extra_size + comment_size;
        return found;
    }

    // Numbers that do not fit 32 bits stand in the extra field of zip64, in this order.
    void widen(const std::string& extra, ZipEntry& entry, std::uint64_t& packed) const {
        std::uint64_t at = 0;
        while (extra.size() - at >= 4) {
            const std::uint64_t kind = number(extra, at, 2);
            const std::uint64_t end = at + 4 + number(extra, at + 2, 2);
            if (end > extra.size()) fail("its directory is damaged");
            at += 4;
            if (kind == 1) {
                for (std::uint64_t* value : {&entry.size, &packed, &entry.offset}) {
                    if (*value != 0xFFFFFFFF) continue;
                    if (end - at < 8) fail("its directory is damaged");
                    *value = number(extra, at, 8);
                    at += 8;
                }
            }
            at = end;
        }
    }

    void check(const std::string& directory, std::uint64_t at, ZipEntry& entry, std::uint64_t packed) {
        entry.is_folder = !entry.name.empty() && entry.name.back() == '/';
        if (entry.is_folder) entry.name.pop_back();
        check_file_name(entry.name, "the archive");
        const auto kind = static_cast<unsigned>(number(directory, at + 38, 4) >> 16) & kTypeBits;
        if (kind != 0 && kind != kRegular && kind != kDirectory) {
            throw BundleError(entry.name,
                              "is a link or special file in the archive; a bundle holds plain files and folders only");
        }
        const auto method = static_cast<unsigned>(number(directory, at + 10, 2));
        if ((number(directory, at + 8, 2) & 1) != 0 || (method != kStored && method != kDeflated)) {
            throw BundleError(entry.name, "is encrypted or packed in an unknown way; entries must be stored or deflated");
        }
        if (entry.size > kSmall && entry.size / kMostRatio > packed) {
            throw BundleError(entry.name, "unpacks to over 200 times its packed size; a bundle's files never do");
        }
        if (method == kDeflated && packed_.empty()) packed_ = entry.name;
        if (method == kStored && entry.size != packed) fail("a stored entry has two sizes");
    }

    std::string path_;
    std::ifstream file_;
    std::uint64_t size_ = 0;
    std::string packed_;  // the first entry that is not stored
};

}  // namespace

Zip::Zip(const std::string& path) : path_(path), entries_(DirectoryReader(path).read()) {}

void Zip::read(const std::string& name, std::uint64_t limit, std::size_t chunk,
               const std::function<void(const char*, std::size_t)>& on_bytes) const {
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const ZipEntry& e) { return e.name == name; });
    std::ifstream file(path_, std::ios::binary);
    std::string buffer(kLocalSize, '\0');
    const auto fail = [&] {
        throw BundleError(path_, "is not a readable bundle (" + name +
                                     " can't be read); give a bundle folder or a .vljepa file");
    };
    const auto take = [&](std::uint64_t count) {
        file.read(buffer.data(), static_cast<std::streamsize>(count));
        if (static_cast<std::uint64_t>(file.gcount()) != count) fail();
    };
    if (entry == entries_.end() || !file.seekg(static_cast<std::streamoff>(entry->offset))) fail();
    take(kLocalSize);
    if (number(buffer, 0, 4) != kLocalSignature) fail();
    const std::uint64_t name_size = number(buffer, 26, 2);
    const std::uint64_t skipped = number(buffer, 28, 2);
    buffer.resize(std::max<std::uint64_t>(name_size, 1));
    take(name_size);
    if (buffer.compare(0, name_size, name) != 0) fail();  // the directory says another
    if (!file.seekg(static_cast<std::streamoff>(skipped), std::ios::cur)) fail();
    buffer.resize(chunk);
    for (std::uint64_t left = std::min(entry->size, limit); left > 0;) {
        const std::uint64_t count = std::min<std::uint64_t>(left, chunk);
        take(count);
        on_bytes(buffer.data(), count);
        left -= count;
    }
}

}  // namespace vljepa
