// ONNX Runtime on the CPU, through its C API. A session takes calls from several threads by itself.

#include <algorithm>
#include <cstring>
#include <memory>

#include <onnxruntime_c_api.h>

#include "engine/engines.hpp"
#include "engine/ports.hpp"
#include "vljepa/error.hpp"

namespace vljepa {

namespace {

// Throws EngineError where the library is older than the headers that this was built with.
const OrtApi& api() {
    static const OrtApi* const kApi = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (kApi == nullptr) {
        throw EngineError(std::string("onnxruntime ") + OrtGetApiBase()->GetVersionString() +
                          " is older than the one that libvljepa was built with, 1." + std::to_string(ORT_API_VERSION));
    }
    return *kApi;
}

// Throws EngineError with `doing` and what ONNX Runtime says where a call failed.
void check(OrtStatus* status, const std::string& doing) {
    if (status == nullptr) return;
    const std::string said = one_line(api().GetErrorMessage(status));
    api().ReleaseStatus(status);
    throw EngineError(doing + ": " + said);
}

// An object of ONNX Runtime that is released by the function of its own.
template <class T>
class Owned {
  public:
    explicit Owned(void(ORT_API_CALL* release)(T*)) : held_(nullptr, release) {}
    T* get() const { return held_.get(); }
    // For functions that make one.
    class Place {
      public:
        explicit Place(Owned& owner) : owner_(owner) {}
        ~Place() { owner_.held_.reset(made_); }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        operator T**() { return &made_; }

      private:
        Owned& owner_;
        T* made_ = nullptr;
    };
    Place place() { return Place(*this); }

  private:
    std::unique_ptr<T, void(ORT_API_CALL*)(T*)> held_;
};

ONNXTensorElementDataType type_of(DataType type) {
    return type == DataType::u8    ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
           : type == DataType::i64 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64
                                   : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

// The type and the shape of a tensor, -1 where a size is free.
Port described(const OrtTensorTypeAndShapeInfo* info, const std::string& graph, const std::string& name) {
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::size_t axes = 0;
    check(api().GetTensorElementType(info, &type), graph);
    check(api().GetDimensionsCount(info, &axes), graph);
    Shape shape(axes);
    check(api().GetDimensions(info, shape.data(), axes), graph);
    for (const DataType ours : {DataType::u8, DataType::i64, DataType::f32}) {
        if (type_of(ours) == type) return {name, ours, std::move(shape)};
    }
    throw EngineError(graph + ": " + name + " is of type " + std::to_string(type) + " of ONNX, which no bundle has");
}

class OnnxRuntimeGraph final : public Graph {
  public:
    OnnxRuntimeGraph(std::shared_ptr<OrtEnv> environment, const OrtSessionOptions* options, const std::string& model,
                     std::string name)
        : name_(std::move(name)),
          environment_(std::move(environment)),
          session_(api().ReleaseSession),
          memory_(api().ReleaseMemoryInfo) {
        check(api().CreateSessionFromArray(environment_.get(), model.data(), model.size(), options, session_.place()),
              name_ + ": ONNX Runtime can't compile it");
        check(api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, memory_.place()), name_);
        std::size_t count = 0;
        check(api().SessionGetInputCount(session_.get(), &count), name_);
        for (std::size_t i = 0; i < count; ++i) {
            ports_.push_back(port(i, api().SessionGetInputName, api().SessionGetInputTypeInfo));
            inputs_.push_back(ports_.back().name);
        }
        check(api().SessionGetOutputCount(session_.get(), &count), name_);
        for (std::size_t i = 0; i < count; ++i) {
            results_.push_back(port(i, api().SessionGetOutputName, api().SessionGetOutputTypeInfo));
            outputs_.push_back(results_.back().name);
        }
    }

    const std::vector<std::string>& inputs() const override { return inputs_; }
    const std::vector<std::string>& outputs() const override { return outputs_; }

    void run(const std::vector<Input>& inputs, Outputs& outputs) override {
        std::vector<const char*> names;
        std::vector<Owned<OrtValue>> tensors;
        std::vector<const OrtValue*> given;
        for (const Port& port : ports_) {
            const Input& input = checked(name_, port, inputs);
            // ONNX Runtime takes no constant pointer; it does not write to inputs.
            tensors.push_back(tensor(input.type, input.shape, const_cast<void*>(input.data)));
            names.push_back(port.name.c_str());
            given.push_back(tensors.back().get());
        }
        std::vector<const char*> wanted;
        std::vector<const Port*> results;
        std::vector<OrtValue*> made;  // null where ONNX Runtime is to make it
        for (const Port& result : results_) {
            const auto place = outputs.find(result.name);
            if (place == outputs.end()) continue;
            wanted.push_back(result.name.c_str());
            results.push_back(&result);
            made.push_back(nullptr);
            if (!is_static(result.shape)) continue;
            place->second.reshape(result.type, result.shape);
            tensors.push_back(tensor(result.type, result.shape, place->second.bytes.data()));
            made.back() = tensors.back().get();
        }
        OrtStatus* const status = api().Run(session_.get(), nullptr, names.data(), given.data(), given.size(), wanted.data(),
                                            wanted.size(), made.data());
        std::vector<Owned<OrtValue>> kept;
        for (std::size_t i = 0; i < made.size(); ++i) {
            if (is_static(results[i]->shape)) continue;
            kept.emplace_back(api().ReleaseValue);
            *kept.back().place() = made[i];
        }
        check(status, name_ + ": ONNX Runtime failed");
        for (std::size_t i = 0; i < made.size(); ++i) {
            if (!is_static(results[i]->shape)) copy(made[i], results[i]->name, outputs.find(results[i]->name)->second);
        }
    }

  private:
    using NameOf = decltype(OrtApi::SessionGetInputName);
    using TypeOf = decltype(OrtApi::SessionGetInputTypeInfo);

    Port port(std::size_t i, NameOf name_of, TypeOf type_of) const {
        OrtAllocator* allocator = nullptr;
        check(api().GetAllocatorWithDefaultOptions(&allocator), name_);
        char* text = nullptr;
        check(name_of(session_.get(), i, allocator, &text), name_);
        const std::string name = text;
        check(api().AllocatorFree(allocator, text), name_);
        Owned<OrtTypeInfo> about(api().ReleaseTypeInfo);
        check(type_of(session_.get(), i, about.place()), name_);
        const OrtTensorTypeAndShapeInfo* info = nullptr;
        check(api().CastTypeInfoToTensorInfo(about.get(), &info), name_);
        if (info == nullptr) throw EngineError(name_ + ": " + name + " is no tensor, which no bundle has");
        return described(info, name_, name);
    }

    Owned<OrtValue> tensor(DataType type, const Shape& shape, void* data) const {
        Owned<OrtValue> made(api().ReleaseValue);
        check(api().CreateTensorWithDataAsOrtValue(memory_.get(), data, element_count(shape) * element_bytes(type),
                                                   shape.data(), shape.size(), vljepa::type_of(type), made.place()),
              name_);
        return made;
    }

    void copy(OrtValue* from, const std::string& name, Output& to) const {
        Owned<OrtTensorTypeAndShapeInfo> info(api().ReleaseTensorTypeAndShapeInfo);
        check(api().GetTensorTypeAndShape(from, info.place()), name_);
        Port about = described(info.get(), name_, name);
        void* data = nullptr;
        check(api().GetTensorMutableData(from, &data), name_);
        to.reshape(about.type, std::move(about.shape));
        if (!to.bytes.empty()) std::memcpy(to.bytes.data(), data, to.bytes.size());
    }

    std::string name_;
    std::shared_ptr<OrtEnv> environment_;  // must outlive the session
    Owned<OrtSession> session_;
    Owned<OrtMemoryInfo> memory_;
    std::vector<std::string> inputs_;
    std::vector<std::string> outputs_;
    std::vector<Port> ports_;
    std::vector<Port> results_;
};

class OnnxRuntimeEngine final : public Engine {
  public:
    explicit OnnxRuntimeEngine(int threads) : options_(api().ReleaseSessionOptions) {
        const std::string doing = "onnxruntime can't be used";
        OrtEnv* environment = nullptr;
        check(api().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "vljepa", &environment), doing);
        environment_ = std::shared_ptr<OrtEnv>(environment, api().ReleaseEnv);
        check(api().DisableTelemetryEvents(environment), doing);
        check(api().CreateSessionOptions(options_.place()), doing);
        check(api().SetIntraOpNumThreads(options_.get(), threads), doing);
        check(api().SetInterOpNumThreads(options_.get(), 1), doing);
        // Idle threads would spin between hops and take the cores from whatever decodes video.
        check(api().AddSessionConfigEntry(options_.get(), "session.intra_op.allow_spinning", "0"), doing);
    }

    std::unique_ptr<Graph> compile(const std::string& model, const std::string& name) override {
        return std::make_unique<OnnxRuntimeGraph>(environment_, options_.get(), model, name);
    }

  private:
    std::shared_ptr<OrtEnv> environment_;
    Owned<OrtSessionOptions> options_;
};

}  // namespace

std::unique_ptr<Engine> open_onnxruntime(int threads, Precision precision) {
    if (precision != Precision::automatic && precision != Precision::f32) {
        throw EngineError("onnxruntime: precision must be automatic or f32: a graph runs at the precision it is stored in");
    }
    return std::make_unique<OnnxRuntimeEngine>(threads);
}

}  // namespace vljepa
