# libvljepa: the shared library has the C API of vljepa.h and nothing else, so that it can be replaced by a newer one; the
# static one has the C++ classes of vljepa/*.hpp too.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

vljepa_objects(vljepa_runtime
  src/api/common.cpp
  src/api/event.cpp
  src/api/model.cpp
  src/api/stream.cpp
  src/api/watching.cpp
  src/bundle/bundle.cpp
  src/bundle/fields.cpp
  src/bundle/json.cpp
  src/bundle/manifest.cpp
  src/bundle/manifest_rules.cpp
  src/bundle/onnx_bytes.cpp
  src/bundle/sha256.cpp
  src/bundle/store.cpp
  src/bundle/versions.cpp
  src/bundle/zip.cpp
  src/model.cpp
  src/model_files.cpp
  src/stream/analysis.cpp
  src/stream/emitter.cpp
  src/stream/event.cpp
  src/stream/make_policy.cpp
  src/stream/options.cpp
  src/stream/session.cpp
  src/stream/stream.cpp
  src/stream/tally.cpp
  src/stream/teller.cpp
  src/stream/track.cpp
  src/stream/watched.cpp
  src/text/byte_level.cpp
  src/text/confidence.cpp
  src/text/detokenizer.cpp
  src/text/labels.cpp
  src/text/npy.cpp
  src/text/npz.cpp
  src/text/texts.cpp
  src/text/tokenizer.cpp
  src/text/wordings.cpp
  src/video/fit.cpp
  src/video/rows.cpp
  src/video/scale.cpp
  src/video/taps.cpp
  src/vision/pooling.cpp
  src/vision/vision.cpp
  src/vision/window.cpp
  src/vision/window_encoder.cpp)

include(cmake/engines.cmake)

find_package(Threads REQUIRED)
target_compile_definitions(vljepa_runtime PRIVATE VLJEPA_BUILDS_LIBRARY VLJEPA_VERSION="${PROJECT_VERSION}")

add_library(vljepa SHARED $<TARGET_OBJECTS:vljepa_core> $<TARGET_OBJECTS:vljepa_runtime>
            $<TARGET_OBJECTS:vljepa_engine>)
add_library(vljepa_static STATIC $<TARGET_OBJECTS:vljepa_core> $<TARGET_OBJECTS:vljepa_runtime>
            $<TARGET_OBJECTS:vljepa_engine>)
set_target_properties(vljepa PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
set_target_properties(vljepa_static PROPERTIES OUTPUT_NAME vljepa EXPORT_NAME static)
target_compile_definitions(vljepa_static INTERFACE VLJEPA_STATIC)
if(UNIX AND NOT APPLE)  # templates of other libraries would be exported, hidden or not
  set(exports ${CMAKE_CURRENT_SOURCE_DIR}/cmake/exports.map)
  target_link_options(vljepa PRIVATE -Wl,--version-script=${exports})
  set_target_properties(vljepa PROPERTIES LINK_DEPENDS ${exports})
endif()
foreach(library vljepa vljepa_static)
  target_compile_features(${library} INTERFACE cxx_std_17)
  target_link_libraries(${library} PRIVATE ${VLJEPA_ENGINE} Threads::Threads)
  target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
                                                  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
add_library(vljepa::vljepa ALIAS vljepa)
add_library(vljepa::static ALIAS vljepa_static)

install(TARGETS vljepa vljepa_static EXPORT vljepaTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT vljepaTargets NAMESPACE vljepa:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vljepa)
configure_package_config_file(cmake/vljepaConfig.cmake.in vljepaConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vljepa)
write_basic_package_version_file(vljepaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vljepaConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/vljepaConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/vljepa)
configure_file(cmake/vljepa.pc.in vljepa.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vljepa.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
