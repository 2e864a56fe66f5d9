"""Files that appear whole or not at all, hashes, archives, and downloads that resume where they broke off."""
from mxft.files.whole import (
    check_writable,
    read_object,
    require_file,
    require_folder,
    require_space,
    sha256,
    whole_file,
    whole_path,
    write_json,
)

__all__ = ["check_writable", "read_object", "require_file", "require_folder", "require_space", "sha256", "whole_file",
           "whole_path", "write_json"]
