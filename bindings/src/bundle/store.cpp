#include "bundle/store.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "bundle/versions.hpp"
#include "bundle/zip.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostFiles = 1000;
constexpr std::size_t kChunk = std::size_t{1} << 20;
// Of git and the Hugging Face hub; never read.
constexpr std::array<const char*, 4> kBeside{".git", ".gitattributes", ".gitignore", ".cache"};

bool is_within(const fs::path& path, const fs::path& folder) {
    const auto [end, at] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return end == folder.end();
}

class Folder final : public Store {
  public:
    explicit Folder(const fs::path& root) : root_(root) {
        const fs::path real = fs::canonical(root);
        reachable_.push_back(real);
        if (real.parent_path().filename() == "snapshots") {  // links of the Hugging Face hub's cache end in its blobs
            reachable_.push_back(real.parent_path().parent_path() / "blobs");
        }
        if (fs::is_regular_file(root / kManifestFile)) walk(root, "");  // else it's some other folder, perhaps a large one
    }

    void read(const std::string& name, std::uint64_t limit, const OnBytes& on_bytes) const override {
        std::ifstream file(root_ / name, std::ios::binary);
        if (!file) throw BundleError(name, std::string("can't be read: ") + std::strerror(errno));
        std::string chunk(kChunk, '\0');
        while (limit > 0) {
            file.read(chunk.data(), static_cast<std::streamsize>(std::min<std::uint64_t>(chunk.size(), limit)));
            const auto got = static_cast<std::size_t>(file.gcount());
            if (got == 0) break;
            on_bytes(chunk.data(), got);
            limit -= got;
        }
    }

  private:
    void walk(const fs::path& folder, const std::string& prefix) {
        for (const fs::directory_entry& item : fs::directory_iterator(folder)) {
            const std::string name = prefix + item.path().filename().string();
            if (std::find(kBeside.begin(), kBeside.end(), name) != kBeside.end()) continue;
            if (item.is_symlink() && !stays(item.path())) {
                throw BundleError(name, "is a link that leaves the bundle; copy the file into it (cp -L)");
            }
            if (!item.is_symlink() && item.is_directory()) {
                walk(item.path(), name + "/");
                continue;
            }
            if (!item.is_regular_file()) {
                throw BundleError(name, "is not a regular file; a bundle holds plain files and folders only");
            }
            add(name, item.file_size());
        }
    }

    bool stays(const fs::path& link) const {
        const fs::path target = fs::weakly_canonical(link);
        return std::any_of(reachable_.begin(), reachable_.end(),
                           [&](const fs::path& folder) { return is_within(target, folder); });
    }

    fs::path root_;
    std::vector<fs::path> reachable_;
};

class Archive final : public Store {
  public:
    explicit Archive(const std::string& path) : zip_(path) {
        for (const ZipEntry& entry : zip_.entries()) {
            if (!entry.is_folder) add(entry.name, entry.size);
        }
    }

    void read(const std::string& name, std::uint64_t limit, const OnBytes& on_bytes) const override {
        zip_.read(name, limit, kChunk, on_bytes);
    }

  private:
    Zip zip_;
};

}  // namespace

void Store::add(const std::string& name, std::uint64_t size) {
    sizes_[name] = size;
    if (sizes_.size() > kMostFiles) {
        throw BundleError(name, "is one of over 1000 files; a bundle holds at most 1000");
    }
}

std::unique_ptr<Store> open_store(const std::string& path) {
    try {
        if (!fs::exists(path)) throw BundleError(path, "does not exist; give a bundle folder or a .vljepa file");
        if (fs::is_directory(path)) return std::make_unique<Folder>(path);
        return std::make_unique<Archive>(path);
    } catch (const fs::filesystem_error& error) {
        throw BundleError(path, "can't be read: " + error.code().message());
    }
}

}  // namespace vljepa
