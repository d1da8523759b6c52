// Queries that `vljepa query TEXT --out FILE` embedded: a .npz, that is a zip of .npy arrays that are stored.

#include <algorithm>
#include <cstring>
#include <map>

#include "bundle/zip.hpp"
#include "text/npy.hpp"
#include "vljepa/error.hpp"
#include "vljepa/model.hpp"

namespace vljepa {

namespace {

constexpr std::uint64_t kLargest = 256u << 20;

}  // namespace

Query Model::read_query(const std::string& path) const {
    const auto fail = [&](const std::string& what) {
        throw InputError("a query file must be written by `vljepa query TEXT --out FILE` for this model, got " + path + ": " +
                         what);
    };
    std::map<std::string, Npy> arrays;
    try {
        const Zip zip(path);
        for (const ZipEntry& entry : zip.entries()) {
            if (entry.size > kLargest) fail("an array is too large");
            std::string data;
            zip.read(entry.name, kLargest, kLargest, [&](const char* bytes, std::size_t size) { data.append(bytes, size); });
            arrays.emplace(entry.name, parse_npy(data));
        }
    } catch (const std::runtime_error& error) {
        fail(error.what());
    }
    for (const char* name : {"text.npy", "graph.npy", "tokens.npy", "mask.npy"}) {
        if (arrays.count(name) == 0) fail(std::string("it has no ") + name);
    }
    const Npy& tokens = arrays.at("tokens.npy");
    const Npy& mask = arrays.at("mask.npy");
    const GraphEntry& graph = *manifest().graph("query");
    const std::string& made_by = arrays.at("graph.npy").data;
    if (made_by != graph.entry.sha256) fail("it was made by another graph for queries");
    const bool fits = tokens.type == "<f4" && mask.type == "<i8" && tokens.shape.size() == 3 && mask.shape.size() == 2 &&
                      tokens.shape[0] == 1 && mask.shape[0] == 1 && tokens.shape[1] == mask.shape[1] && tokens.shape[1] >= 1;
    if (!fits) fail("its tokens must be float32 [1, length, width] and its mask int64 [1, length]");
    Query query;
    query.text = arrays.at("text.npy").data;
    query.width = tokens.shape[2];
    query.tokens.resize(element_count(tokens.shape));
    std::memcpy(query.tokens.data(), tokens.data.data(), tokens.data.size());
    query.mask.resize(element_count(mask.shape));
    std::memcpy(query.mask.data(), mask.data.data(), mask.data.size());
    return query;
}

}  // namespace vljepa
