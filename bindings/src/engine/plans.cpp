#include "engine/plans.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "bundle/json.hpp"
#include "bundle/sha256.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

constexpr std::size_t kMostManifest = std::size_t{4} << 20;

std::string digest_of(const std::string& bytes) {
    Sha256 digest;
    digest.add(bytes.data(), bytes.size());
    return digest.hex();
}

std::string text_of(const Json& holder, const char* key) {
    const Json* const found = holder.find(key);
    if (found == nullptr || found->text() == nullptr) throw std::runtime_error(std::string(key) + " must be a text");
    return *found->text();
}

const Json& member(const Json& holder, const char* key) {
    const Json* const found = holder.find(key);
    if (found == nullptr || found->object() == nullptr) throw std::runtime_error(std::string(key) + " must be an object");
    return *found;
}

// A plan lies in the folder itself: no path leads out of it.
bool is_plan_name(const std::string& name) {
    const auto allowed = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-'; };
    return name.size() > 5 && name.front() != '.' && name.front() != '-' && name.substr(name.size() - 5) == ".plan" &&
           std::all_of(name.begin(), name.end(), allowed);
}

// "10.16.1" of 10.16.1.11.
std::string release(const std::string& version) {
    std::size_t dots = 0;
    const auto end = std::find_if(version.begin(), version.end(), [&](char c) { return c == '.' && ++dots == 3; });
    return {version.begin(), end};
}

std::string build_again(const std::string& path) { return "; to fix it, run: vljepa build BUNDLE --out " + path; }

}  // namespace

PlanFolder::PlanFolder(std::string path) : path_(std::move(path)) {
    std::ifstream file(path_ + "/engines.json", std::ios::binary);
    std::string text(kMostManifest, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.empty()) throw EngineError(path_ + " is no folder of TensorRT engines" + build_again(path_));
    try {
        const Json manifest = parse_json(text);
        const Json& platform = member(manifest, "platform");
        const Json* const count = platform.find("multiprocessors");
        if (count == nullptr || count->integer() == nullptr) throw std::runtime_error("multiprocessors must be an integer");
        built_for_ = {text_of(platform, "gpu"), text_of(platform, "compute_capability"), static_cast<int>(*count->integer()),
                      text_of(platform, "tensorrt")};
        for (const auto& [graph, entry] : *member(manifest, "plans").object()) {
            const std::string name = text_of(entry, "file");
            if (!is_plan_name(name)) throw std::runtime_error(graph + ": a plan must be a file of the folder, got " + name);
            plans_[text_of(entry, "source_sha256")] = {name, text_of(entry, "sha256")};
        }
    } catch (const std::runtime_error& error) {
        throw EngineError(path_ + "/engines.json is damaged (" + error.what() + ")" + build_again(path_));
    }
}

std::string PlanFolder::plan(const std::string& model, const std::string& graph, const GpuPlatform& here) const {
    std::string differences;
    const auto compare = [&](const std::string& what, const std::string& mine, const std::string& theirs) {
        if (mine != theirs) differences += (differences.empty() ? "" : "; ") + what + " is " + mine + ", not " + theirs;
    };
    compare("the GPU", here.gpu, built_for_.gpu);
    compare("its compute capability", here.compute_capability, built_for_.compute_capability);
    compare("its number of multiprocessors", std::to_string(here.multiprocessors), std::to_string(built_for_.multiprocessors));
    compare("TensorRT", release(here.tensorrt), release(built_for_.tensorrt));
    const auto found = plans_.find(digest_of(model));
    if (found == plans_.end()) compare("the bundle", "another", "the one they were built from");
    if (!differences.empty()) {
        throw EngineError(graph + ": the engines in " + path_ + " don't fit: " + differences + build_again(path_));
    }
    const std::string file = path_ + "/" + found->second.file;
    std::ifstream stream(file, std::ios::binary);
    std::string data{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    if (!stream) throw EngineError(graph + ": " + file + " can't be read" + build_again(path_));
    if (digest_of(data) != found->second.sha256) throw EngineError(graph + ": " + file + " was altered" + build_again(path_));
    return data;
}

}  // namespace vljepa
