//! The calls on extended attributes.

use bytes::Bytes;
use hdfs_disk::edits::EditOp;
use hdfs_disk::types::{XAttr, XAttrNamespace};
use hdfs_wire::proto::hdfs::{
    GetXAttrsRequestProto, GetXAttrsResponseProto, ListXAttrsRequestProto, ListXAttrsResponseProto,
    RemoveXAttrRequestProto, RemoveXAttrResponseProto, SetXAttrRequestProto, SetXAttrResponseProto,
    XAttrProto, XAttrSetFlagProto,
};
use hdfs_wire::{Exception, Fault};

use super::super::apply::same_name;
use super::super::path;
use super::super::permission::{EXECUTE, READ, WRITE};
use super::super::resolve::{Intent, Resolved};
use super::super::tree::Slot;
use super::super::{Caller, Durable, Namenode};
use super::{illegal, not_found};

/// The one attribute of the security namespace that clients may set: it keeps superusers out.
const UNREADABLE: &str = "hdfs.unreadable.by.superuser";

const STICKY: u16 = 0o1000;

fn of_proto(xattr: Option<&XAttrProto>) -> Result<XAttr, Fault> {
    let xattr = xattr.ok_or_else(|| illegal("XAttr can not be null."))?;
    let namespace = u8::try_from(xattr.namespace).ok().and_then(XAttrNamespace::from_number);
    Ok(XAttr {
        namespace: namespace.ok_or_else(|| illegal("XAttr namespace is unknown"))?,
        name: xattr.name.clone(),
        value: xattr.value.as_ref().map(|value| value.to_vec()),
    })
}

fn to_proto(xattr: &XAttr) -> XAttrProto {
    XAttrProto {
        namespace: xattr.namespace as i32,
        name: xattr.name.clone(),
        value: xattr.value.as_ref().map(|value| Bytes::copy_from_slice(value)),
    }
}

/// The name with its namespace before it.
fn full_name(xattr: &XAttr) -> String {
    let namespace = match xattr.namespace {
        XAttrNamespace::User => "user",
        XAttrNamespace::Trusted => "trusted",
        XAttrNamespace::Security => "security",
        XAttrNamespace::System => "system",
        XAttrNamespace::Raw => "raw",
    };
    format!("{namespace}.{}", xattr.name)
}

impl Namenode {
    fn check_xattrs_enabled(&self) -> Result<(), Fault> {
        if self.config.xattrs_enabled {
            return Ok(());
        }
        Err(Fault::io(
            "The XAttr operation has been rejected.  Support for XAttrs has been disabled by \
             setting dfs.namenode.xattrs.enabled to false.",
        ))
    }

    /// May this caller see and set this attribute at all?
    fn is_visible(&self, caller: &Caller<'_>, xattr: &XAttr, src: &str) -> bool {
        let is_superuser = self.checker(caller).may_all();
        match xattr.namespace {
            XAttrNamespace::User => true,
            XAttrNamespace::Trusted => is_superuser,
            XAttrNamespace::Security => xattr.name == UNREADABLE,
            XAttrNamespace::System => false,
            XAttrNamespace::Raw => is_superuser && path::is_raw(src),
        }
    }

    fn check_visible(&self, caller: &Caller<'_>, xattr: &XAttr, src: &str) -> Result<(), Fault> {
        if self.is_visible(caller, xattr, src) {
            return Ok(());
        }
        let message = format!("User doesn't have permission for xattr: {}", full_name(xattr));
        Err(Fault::new(Exception::AccessControl, message))
    }

    /// Rights to change attributes of the user namespace.
    fn check_change(
        &self,
        caller: &Caller<'_>,
        resolved: &Resolved<'_>,
        xattr: &XAttr,
    ) -> Result<Slot, Fault> {
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("cannot find {}", resolved.path())))?;
        if xattr.namespace == XAttrNamespace::User {
            let is_sticky =
                self.tree.get(slot).is_directory() && self.tree.mode(slot) & STICKY != 0;
            let checker = self.checker(caller);
            if is_sticky { checker.owner(slot)? } else { checker.check(slot, WRITE)? }
        }
        Ok(slot)
    }

    /// `setXAttr`.
    ///
    /// # Errors
    /// `IOException` when the flags do not fit, `HadoopIllegalArgumentException` when it is too
    /// big, `AccessControlException`, `FileNotFoundException`; path and safe mode errors.
    pub fn set_x_attr(
        &mut self,
        caller: &Caller<'_>,
        request: &SetXAttrRequestProto,
    ) -> Result<Durable<SetXAttrResponseProto>, Fault> {
        self.begin(caller);
        self.check_xattrs_enabled()?;
        let xattr = of_proto(request.x_attr.as_ref())?;
        if self.repeated(caller).is_some() {
            return Ok(self.durable(SetXAttrResponseProto {}));
        }
        self.check_safe_mode(format_args!("set XAttr on {}", request.src))?;
        let size = xattr.name.len() + xattr.value.as_ref().map_or(0, Vec::len);
        if size > self.config.xattr_size_max {
            return Err(illegal(format!(
                "The XAttr is too big. The maximum combined size of the name and value is {}, but \
                 the total size is {size}",
                self.config.xattr_size_max
            )));
        }
        self.check_visible(caller, &xattr, &request.src)?;
        let resolved = self.resolve(caller, &request.src, Intent::Write)?;
        let slot = self.check_change(caller, &resolved, &xattr)?;
        self.check_set(slot, &xattr, request.flag())?;
        let op = EditOp::SetXAttr {
            path: resolved.into_path(),
            xattrs: vec![xattr],
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.durable(SetXAttrResponseProto {}))
    }

    fn check_set(&self, slot: Slot, xattr: &XAttr, flags: u32) -> Result<(), Fault> {
        let has = |flag: XAttrSetFlagProto| flags & flag as u32 != 0;
        let name = &xattr.name;
        if flags == 0 {
            return Err(illegal("A flag must be specified."));
        }
        let existing = self.tree.xattrs(slot);
        if existing.iter().any(|each| same_name(each, xattr)) {
            if !has(XAttrSetFlagProto::XattrReplace) {
                return Err(Fault::io(format!(
                    "XAttr: {name} already exists. The REPLACE flag must be specified."
                )));
            }
            return Ok(());
        }
        if !has(XAttrSetFlagProto::XattrCreate) {
            return Err(Fault::io(format!(
                "XAttr: {name} does not exist. The CREATE flag must be specified."
            )));
        }
        let is_counted = |each: &&XAttr| {
            matches!(each.namespace, XAttrNamespace::User | XAttrNamespace::Trusted)
        };
        let limit = self.config.xattrs_per_inode_max;
        if existing.iter().filter(is_counted).count() >= limit {
            return Err(Fault::io(format!(
                "Cannot add additional XAttr to inode, would exceed limit of {limit}"
            )));
        }
        Ok(())
    }

    /// `removeXAttr`.
    ///
    /// # Errors
    /// `IOException` when it is not there, `AccessControlException`, `FileNotFoundException`; path
    /// and safe mode errors.
    pub fn remove_x_attr(
        &mut self,
        caller: &Caller<'_>,
        request: &RemoveXAttrRequestProto,
    ) -> Result<Durable<RemoveXAttrResponseProto>, Fault> {
        self.begin(caller);
        self.check_xattrs_enabled()?;
        let xattr = of_proto(request.x_attr.as_ref())?;
        if self.repeated(caller).is_some() {
            return Ok(self.durable(RemoveXAttrResponseProto {}));
        }
        self.check_safe_mode(format_args!("remove XAttr entry on {}", request.src))?;
        self.check_visible(caller, &xattr, &request.src)?;
        let resolved = self.resolve(caller, &request.src, Intent::Write)?;
        let slot = self.check_change(caller, &resolved, &xattr)?;
        let known = self.tree.xattrs(slot).iter().find(|each| same_name(each, &xattr)).cloned();
        let known =
            known.ok_or_else(|| Fault::io("No matching attributes found for remove operation"))?;
        let op = EditOp::RemoveXAttr {
            path: resolved.into_path(),
            xattrs: vec![known],
            rpc: Self::rpc_ids(caller),
        };
        self.log(&op)?;
        Ok(self.durable(RemoveXAttrResponseProto {}))
    }

    /// `getXAttrs`: those asked for, or all the caller may see.
    ///
    /// # Errors
    /// `XAttrNotFoundException` when one asked for is not there, `AccessControlException`,
    /// `FileNotFoundException`; path errors.
    pub fn get_x_attrs(
        &self,
        caller: &Caller<'_>,
        request: &GetXAttrsRequestProto,
    ) -> Result<GetXAttrsResponseProto, Fault> {
        self.check_xattrs_enabled()?;
        let src = &request.src;
        let wanted = request
            .x_attrs
            .iter()
            .map(|each| of_proto(Some(each)))
            .collect::<Result<Vec<_>, _>>()?;
        for xattr in &wanted {
            self.check_visible(caller, xattr, src)?;
        }
        let resolved = self.resolve(caller, src, Intent::Read)?;
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("cannot find {}", resolved.path())))?;
        self.checker(caller).check(slot, READ)?;
        let visible = self.visible(caller, slot, src);
        if wanted.is_empty() {
            let x_attrs = visible.into_iter().map(to_proto).collect();
            return Ok(GetXAttrsResponseProto { x_attrs });
        }
        let mut x_attrs = Vec::with_capacity(wanted.len());
        for xattr in &wanted {
            let found = visible.iter().find(|each| same_name(each, xattr)).ok_or_else(|| {
                Fault::new(
                    Exception::XAttrNotFound,
                    "At least one of the attributes provided was not found.",
                )
            })?;
            x_attrs.push(to_proto(found));
        }
        Ok(GetXAttrsResponseProto { x_attrs })
    }

    fn visible(&self, caller: &Caller<'_>, slot: Slot, src: &str) -> Vec<&XAttr> {
        let all = self.tree.xattrs(slot).iter();
        all.filter(|each| self.is_visible(caller, each, src)).collect()
    }

    /// `listXAttrs`: all the caller may see, with their values as Java sends them.
    ///
    /// # Errors
    /// `FileNotFoundException`; path and permission errors.
    pub fn list_x_attrs(
        &self,
        caller: &Caller<'_>,
        request: &ListXAttrsRequestProto,
    ) -> Result<ListXAttrsResponseProto, Fault> {
        self.check_xattrs_enabled()?;
        let resolved = self.resolve(caller, &request.src, Intent::Read)?;
        let slot = resolved
            .target()
            .ok_or_else(|| not_found(format!("cannot find {}", resolved.path())))?;
        if let Some(parent) = self.tree.get(slot).parent() {
            self.checker(caller).check(parent, EXECUTE)?;
        }
        let visible = self.visible(caller, slot, &request.src);
        let x_attrs = visible.into_iter().map(to_proto).collect();
        Ok(ListXAttrsResponseProto { x_attrs })
    }
}
