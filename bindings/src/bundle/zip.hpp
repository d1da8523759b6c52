#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace vljepa {

struct ZipEntry {
    std::string name;  // of a folder without the slash at its end
    std::uint64_t size = 0;
    std::uint64_t offset = 0;  // of its local header
    bool is_folder = false;
};

/// The directory of a zip (APPNOTE 6.3, with zip64) whose entries are stored. Nothing in it is trusted.
class Zip {
  public:
    /// Throws BundleError for what is no zip, and for entries whose names leave it, that come twice, are links, are
    /// encrypted or packed, or would unpack to far more than they are.
    explicit Zip(const std::string& path);

    const std::vector<ZipEntry>& entries() const { return entries_; }
    /// Gives the bytes of an entry in pieces of at most `chunk`, at most `limit` of them in all. Throws BundleError.
    void read(const std::string& name, std::uint64_t limit, std::size_t chunk,
              const std::function<void(const char*, std::size_t)>& on_bytes) const;

  private:
    std::string path_;
    std::vector<ZipEntry> entries_;
};

}  // namespace vljepa
