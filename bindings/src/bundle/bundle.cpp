#include "vljepa/bundle.hpp"

#include <cstdint>
#include <memory>
#include <stdexcept>

#include "bundle/onnx_bytes.hpp"
#include "bundle/sha256.hpp"
#include "bundle/store.hpp"
#include "bundle/versions.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr std::uint64_t kLargestManifest = 4u << 20;
constexpr std::uint64_t kMostBytes = std::uint64_t{16} << 30;
constexpr const char* kReadme = "README.md";  // the hub's page about a model may lie beside a bundle's files

std::string take(const Store& store, const std::string& name, std::uint64_t limit) {
    std::string data;
    store.read(name, limit + 1, [&data](const char* bytes, std::size_t size) { data.append(bytes, size); });
    if (data.size() > limit) {
        throw BundleError(name, "is larger than " + std::to_string(limit) + " bytes, the most it may be");
    }
    return data;
}

void check_hash(const std::string& name, Sha256& digest, const FileEntry& entry) {
    const std::string found = digest.hex();
    if (found != entry.sha256) {
        throw BundleError(name, "was altered: its SHA-256 is " + found + ", manifest.json says " + entry.sha256 +
                                    "; copy or download it again");
    }
}

std::string verified(const Store& store, const std::string& name, const FileEntry& entry) {
    std::string data = take(store, name, static_cast<std::uint64_t>(entry.bytes));
    Sha256 digest;
    digest.add(data.data(), data.size());
    check_hash(name, digest, entry);
    return data;
}

void verify(const Store& store, const std::string& name, const FileEntry& entry) {
    Sha256 digest;
    const auto most = static_cast<std::uint64_t>(entry.bytes) + 1;
    store.read(name, most, [&digest](const char* bytes, std::size_t size) { digest.add(bytes, size); });
    check_hash(name, digest, entry);
}

void check_graph(const std::string& name, const std::string& model) {
    std::vector<std::string> outside;
    try {
        outside = external_weights(model);
    } catch (const std::runtime_error& error) {
        throw BundleError(name, std::string("is not an ONNX graph: ") + error.what());
    }
    if (!outside.empty()) {
        throw BundleError(name, "keeps '" + outside.front() +
                                    "' in another file (ONNX external data); save it with the weights inside");
    }
}

// The files that are there are the files of the manifest, at their sizes.
void check_listing(const std::map<std::string, std::uint64_t>& sizes, const std::map<std::string, FileEntry>& entries) {
    for (const auto& [name, size] : sizes) {
        if (name != kManifestFile && name != kReadme && entries.count(name) == 0) {
            throw BundleError(name, "is not named in manifest.json; a bundle holds nothing else. Remove it");
        }
    }
    std::uint64_t total = 0;
    for (const auto& [name, entry] : entries) {
        const auto there = sizes.find(name);
        if (there == sizes.end()) throw BundleError(name, "is named in manifest.json but missing");
        if (there->second != static_cast<std::uint64_t>(entry.bytes)) {
            throw BundleError(name, "has " + std::to_string(there->second) + " bytes, manifest.json says " +
                                        std::to_string(entry.bytes) + "; copy or download it again");
        }
        total += there->second;
    }
    if (total > kMostBytes) {
        throw BundleError(kManifestFile, "names " + std::to_string(total) + " bytes of files; a bundle holds at most " +
                                             std::to_string(kMostBytes));
    }
}

}  // namespace

Bundle Bundle::open(const std::string& path) {
    const std::unique_ptr<Store> store = open_store(path);
    if (store->sizes().count(kManifestFile) == 0) {
        throw BundleError(path, "is not a bundle: it has no manifest.json; give a bundle folder or a .vljepa file");
    }
    const std::string raw = take(*store, kManifestFile, kLargestManifest);
    Bundle bundle;
    bundle.path_ = path;
    bundle.manifest_ = parse_manifest(raw);
    const std::map<std::string, FileEntry> entries = bundle.manifest_.entries();
    check_listing(store->sizes(), entries);
    for (const auto& [name, entry] : entries) {
        if (bundle.manifest_.files.count(name) == 0) {
            check_graph(name, verified(*store, name, entry));
        } else {
            verify(*store, name, entry);
        }
    }
    Sha256 digest;
    digest.add(raw.data(), raw.size());
    bundle.digest_ = digest.hex();
    return bundle;
}

std::string Bundle::read(const std::string& name) const {
    const std::map<std::string, FileEntry> entries = manifest_.entries();
    const auto entry = entries.find(name);
    if (entry == entries.end()) throw BundleError(name, "is not a file of the bundle " + path_);
    return verified(*open_store(path_), name, entry->second);
}

}  // namespace vljepa
