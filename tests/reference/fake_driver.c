/* A libcuda.so.1 with the cards that FAKE_CARDS lists, "NVIDIA H100 80GB HBM3=9.0;NVIDIA A100-SXM4-40GB=8.0": what
 * mxft.cards asks of NVIDIA's driver API, and the names libmxnet.so links. FAKE_CUINIT is what cuInit returns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *card(int number) {
  const char *at = getenv("FAKE_CARDS");
  for (; at && *at && number > 0; number--) at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL;
  return at && *at ? at : NULL;
}
int cuInit(unsigned flags) { return getenv("FAKE_CUINIT") ? atoi(getenv("FAKE_CUINIT")) : 0; }
int cuDriverGetVersion(int *version) {
  *version = getenv("FAKE_CUDA") ? atoi(getenv("FAKE_CUDA")) : 12020;
  return 0;
}
int cuDeviceGetCount(int *count) {
  for (*count = 0; card(*count); ++*count) {}
  return 0;
}
int cuDeviceGet(int *device, int number) { *device = number; return card(number) ? 0 : 101; }
int cuDeviceGetName(char *name, int length, int device) {
  return snprintf(name, length, "%.*s", (int)strcspn(card(device), "="), card(device)) < 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  int major = 0, minor = 0;
  sscanf(strchr(card(device), '='), "=%d.%d", &major, &minor);
  *value = attribute == 75 ? major : attribute == 76 ? minor : 0;
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)80 << 30; return 0; }
int cuGetErrorName(int error, const char **name) {
  *name = error == 100 ? "CUDA_ERROR_NO_DEVICE" : error == 803 ? "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH" : NULL;
  return *name == NULL;
}
#define LINKED_BY_MXNET(name) int name(void) { return 999; }
LINKED_BY_MXNET(cuDevicePrimaryCtxRetain)
LINKED_BY_MXNET(cuGetErrorString)
LINKED_BY_MXNET(cuGraphKernelNodeGetParams)
LINKED_BY_MXNET(cuGraphNodeGetType)
LINKED_BY_MXNET(cuLaunchKernel)
LINKED_BY_MXNET(cuModuleGetFunction)
LINKED_BY_MXNET(cuModuleLoadData)
LINKED_BY_MXNET(cuModuleLoadDataEx)
LINKED_BY_MXNET(cuModuleUnload)
