#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace vljepa {

/// The files of a folder or a zip, which look the same from above.
class Store {
  public:
    using OnBytes = std::function<void(const char* data, std::size_t size)>;

    virtual ~Store() = default;

    /// The size of every file by its name in the bundle.
    const std::map<std::string, std::uint64_t>& sizes() const { return sizes_; }
    /// Gives the bytes of a file in pieces, at most `limit` of them. Throws BundleError.
    virtual void read(const std::string& name, std::uint64_t limit, const OnBytes& on_bytes) const = 0;

  protected:
    void add(const std::string& name, std::uint64_t size);

    std::map<std::string, std::uint64_t> sizes_;
};

/// Throws BundleError for what is neither, and for hostile names, links and entries.
std::unique_ptr<Store> open_store(const std::string& path);

}  // namespace vljepa
