# libvljepa: the shared library has the C API of vljepa.h and nothing else, so that it can be replaced by a newer one; the
# static one has the C++ classes of vljepa/*.hpp too.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

vljepa_objects(vljepa_runtime
  src/api/common.cpp
  src/bundle/bundle.cpp
  src/bundle/fields.cpp
  src/bundle/json.cpp
  src/bundle/manifest.cpp
  src/bundle/manifest_rules.cpp
  src/bundle/onnx_bytes.cpp
  src/bundle/sha256.cpp
  src/bundle/store.cpp
  src/bundle/versions.cpp
  src/bundle/zip.cpp)
target_compile_definitions(vljepa_runtime PRIVATE VLJEPA_BUILDS_LIBRARY VLJEPA_VERSION="${PROJECT_VERSION}")

add_library(vljepa SHARED $<TARGET_OBJECTS:vljepa_core> $<TARGET_OBJECTS:vljepa_runtime>)
add_library(vljepa_static STATIC $<TARGET_OBJECTS:vljepa_core> $<TARGET_OBJECTS:vljepa_runtime>)
set_target_properties(vljepa PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
set_target_properties(vljepa_static PROPERTIES OUTPUT_NAME vljepa EXPORT_NAME static)
target_compile_definitions(vljepa_static INTERFACE VLJEPA_STATIC)
foreach(library vljepa vljepa_static)
  target_compile_features(${library} INTERFACE cxx_std_17)
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
