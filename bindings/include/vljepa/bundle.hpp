#pragma once

#include <string>

#include "vljepa/manifest.hpp"

namespace vljepa {

/// A deployed model on disk: a folder, or the same files stored in one .vljepa zip. Nothing in it is trusted: names,
/// sizes and hashes are checked before a byte is used, and graphs may not keep weights in other files.
class Bundle {
  public:
    /// Opens a folder or a zip and verifies all of it. Throws BundleError that names the file when any is missing,
    /// unknown, too large, altered or outside the bundle. Entries of a zip must be stored, as vljepa-edge writes them.
    static Bundle open(const std::string& path);

    const std::string& path() const { return path_; }
    const Manifest& manifest() const { return manifest_; }
    /// SHA-256 of the manifest, which holds the hashes of everything else.
    const std::string& digest() const { return digest_; }

    /// The bytes of a file that the manifest names; verified again, so that one altered since open() is refused.
    std::string read(const std::string& name) const;

  private:
    std::string path_;
    Manifest manifest_;
    std::string digest_;
};

}  // namespace vljepa
